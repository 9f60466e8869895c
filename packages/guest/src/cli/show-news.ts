import { canDrawInPlace, LiveTable } from './live-table.ts'
import type { Output } from './output.ts'
import { describeNews, newsLines, type WaitNews } from './progress.ts'
import { bootTimeUsec } from './time.ts'

/** Where the progress of a wait goes. */
export interface NewsDisplay {
  show(news: WaitNews): void
  /** Nothing is shown any more. `last`: how it ended, for what is still on the screen. */
  end(last?: WaitNews): void
}

/** A live table on a terminal; off it, and beside JSON, a line for each change. Both on standard error. */
export function showNews(output: Output): NewsDisplay {
  return !output.json && canDrawInPlace(process.stderr, process.env) ? liveNews() : newsAsLines(output)
}

function liveNews(): NewsDisplay {
  let last: WaitNews | undefined
  let live: LiveTable | undefined
  return {
    show: (news) => {
      last = news
      live ??= new LiveTable(process.stderr, () => (last ? newsLines(last, bootTimeUsec()) : []))
    },
    end: (final) => {
      last = final ?? last
      live?.end()
    },
  }
}

function newsAsLines(output: Output): NewsDisplay {
  let printed: string | undefined
  return {
    show: (news) => {
      const line = describeNews(news)
      if (line !== printed) output.progress(line)
      printed = line
    },
    end: () => {},
  }
}
