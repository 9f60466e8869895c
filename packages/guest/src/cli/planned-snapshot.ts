import type { PlannedSnapshot } from 'snapsafe/protocol'
import { seconds } from './time.ts'

/** What is to be known of a planned snapshot, as rows of a table. Groups that are frozen have a row each: they are few. */
export function plannedRows(planned: PlannedSnapshot, nowUsec: number): string[][] {
  const { quiesce, reason, deadlineUsec, thawAtUsec, prepared, of, asking, frozen, running } = planned
  const rows = [
    ['snapshot', `number ${quiesce}${reason ? ` (${reason})` : ''}`],
    ['prepared', `${prepared} of ${of} watchers${asking ? `, asking ${asking}` : ''}`],
    ...frozen.map((group) => ['frozen', group]),
    ...running.map(({ group, why }) => ['goes on', `${group}: ${why}`]),
  ]
  if (thawAtUsec == null)
    rows.push(['given up', `in ${seconds(deadlineUsec - nowUsec)}, if not all are prepared`])
  else
    rows.push([
      'thawed',
      `in ${seconds(thawAtUsec - nowUsec)}, in a new generation, if nobody resumes before`,
    ])
  return rows
}
