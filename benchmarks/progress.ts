/**
 * What a person sees while the suite runs: on a terminal one line that changes, elsewhere a line for each run. On stderr,
 * so that `--json` on stdout stays clean.
 */
export interface Progress {
  readonly say: (text: string) => void
  readonly starts: (name: string, round: number, rounds: number) => void
  readonly ended: (name: string, outcome: string) => void
  readonly close: () => void
}

const clock = (seconds: number): string =>
  `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`

export const make = (total: number, stream: NodeJS.WriteStream = process.stderr): Progress => {
  const startedAt = performance.now()
  const isLive = stream.isTTY
  let done = 0
  let line = ""
  const elapsed = () => (performance.now() - startedAt) / 1000
  const clear = () => {
    if (isLive && line !== "") stream.write("\r\u001b[K")
  }
  const draw = () => {
    if (!isLive || line === "") return
    const left = done === 0 ? "" : `, about ${clock(elapsed() / done * (total - done))} left`
    stream.write(`\r\u001b[K[${done}/${total}] ${clock(elapsed())}${left}  ${line}`.slice(0, stream.columns ?? 120))
  }
  const timer = isLive ? setInterval(draw, 1000) : undefined
  const say = (text: string) => {
    clear()
    stream.write(`${text}\n`)
    draw()
  }
  return {
    say,
    starts: (name, round, rounds) => {
      line = round === 0 ? `${name}, warming up` : `${name}, round ${round} of ${rounds}`
      draw()
    },
    ended: (name, outcome) => {
      done++
      line = ""
      clear()
      say(`[${done}/${total}] ${clock(elapsed())}  ${name.padEnd(32)} ${outcome}`)
    },
    close: () => {
      clearInterval(timer)
      clear()
    }
  }
}
