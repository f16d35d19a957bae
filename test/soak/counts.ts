/**
 * What has happened to the processes of the real world, in numbers.
 */
export interface Counts {
  processes: number
  kills: number
  zombies: number
  stops: number
  cuts: number
  outages: number
  diskFull: number
  races: number
  replayedCheckpoints: number
}

export const noCounts = (): Counts => ({
  processes: 0,
  kills: 0,
  zombies: 0,
  stops: 0,
  cuts: 0,
  outages: 0,
  diskFull: 0,
  races: 0,
  replayedCheckpoints: 0
})
