/**
 * What a measured process says about itself.
 */
import { PerformanceObserver } from "node:perf_hooks"
import { readProc } from "../measure.ts"
import type { Sample } from "../sample.ts"

export const config = <A>(): A => JSON.parse(process.argv[2]!) as A

export const emit = (event: object): void => void process.stdout.write(`@bench ${JSON.stringify(event)}\n`)

let gcMillis = 0
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) gcMillis += entry.duration
}).observe({ entryTypes: ["gc"] })

export const cpuSeconds = (): number => {
  const { system, user } = process.cpuUsage()
  return (system + user) / 1e6
}

/** The result, with what the whole process has used until now. */
export const finish = (result: object): void =>
  emit({
    result: {
      ...result,
      cpuSeconds: cpuSeconds(),
      gcSeconds: gcMillis / 1000,
      peakRssBytes: readProc("self")?.peakRssBytes
    }
  })

export interface Progress {
  readonly read: number
  readonly committed: number
}

/** Rows read and committed over time, until `stop`, which gives the samples. Seconds count from the call. */
export const sampleProgress = (progress: () => Progress): { readonly stop: () => ReadonlyArray<Sample> } => {
  const startedAt = performance.now()
  const samples: Array<Sample> = []
  const sample = () =>
    samples.push({
      t: (performance.now() - startedAt) / 1000,
      ...progress(),
      rssMiB: process.memoryUsage.rss() / 1024 / 1024
    })
  const timer = setInterval(sample, 100)
  return {
    stop: () => {
      clearInterval(timer)
      sample()
      return samples
    }
  }
}
