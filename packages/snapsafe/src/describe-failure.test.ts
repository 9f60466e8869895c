import { expect, it } from 'vitest'
import { describeFailure } from './describe-failure.ts'

it.each([
  ['an error', new Error('the pool is gone'), 'the pool is gone'],
  ['an error without a message', new TypeError(), 'TypeError'],
  ['a string', 'because', 'because'],
  ['an empty string', '', 'it did not say why'],
  ['nothing', undefined, 'undefined'],
  ['null', null, 'null'],
  ['a symbol', Symbol('s'), 'Symbol(s)'],
  ['an object without a prototype', Object.create(null), 'it did not say why'],
  [
    'an error that throws when it is asked',
    {
      get message() {
        throw new Error('trap')
      },
    },
    'it did not say why',
  ],
])('says something of %s', (_, thrown, text) => {
  expect(describeFailure(thrown)).toBe(text)
})

it('is brief, and whole characters', () => {
  const text = describeFailure(new Error(`${'x'.repeat(499)}😀${'y'.repeat(1000)}`))
  expect(text).toBe('x'.repeat(499))
})
