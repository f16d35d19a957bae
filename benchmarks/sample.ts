/** One moment of a run. Seconds count from its beginning; what is not known is left out. */
export interface Sample {
  readonly t: number
  readonly read?: number | undefined
  readonly committed?: number | undefined
  readonly rssMiB?: number | undefined
}
