/** How many kills each script is good for, at the least. A script whose steps are no longer counted falls short of it. */
export const shares = {
  bump: 55,
  bumpAgain: 60,
  failure: 33,
  deadline: 40,
  comeAndGo: 60,
  original: 36,
  copy: 100,
  bumpWhileQuiesced: 65,
  thawDeadline: 65,
  veto: 23,
  callerLeft: 18,
  bumpWhileAsked: 43,
  stopped: 14,
  firstStart: 15,
  restartQuiesced: 27,
  restartUnknown: 20,
  restartDeclared: 24,
  restartHalfWritten: 34,
  restartAdjusting: 20,
} as const

/** What issue 3 asks for. */
export const wantedKills = 500
