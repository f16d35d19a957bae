/** The command line is wrong; the message says what, and needs no stack. */
export class UsageError extends Error {}
