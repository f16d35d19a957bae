import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import type { Program } from "./world.ts"
import * as World from "./world.ts"

const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const Chunk = Schema.Struct({
  keys: Schema.Array(int(0, 5)).check(Schema.isMaxLength(8)),
  pause: Schema.Literals([0, 1, 5, 30])
})

const Run = Schema.Struct({
  parallelism: int(1, 3),
  diesAt: Schema.Union([int(1, 60), int(60, 130), int(90, 160), int(130, 300), Schema.Null]),
  death: Schema.Literals(["kill", "lost", "kept", "cut", "scattered", "mixed"])
})

const calm = {}
const rough = {
  WriteTimeout: 0.03,
  WriteFailure: 0.01,
  ReadTimeout: 0.01,
  Unavailable: 0.02,
  Overloaded: 0.02,
  ConnectionLost: 0.03,
  NoAnswer: 0.005,
  Slow: 0.05
}

const program = Arbitrary.all({
  seed: Arbitrary.schema(int(0, 1_000_000)),
  chunks: Arbitrary.array(Arbitrary.schema(Chunk), { minLength: 3, maxLength: 14 }),
  runs: Arbitrary.array(Arbitrary.schema(Run), { minLength: 1, maxLength: 5 }),
  intervalMillis: Arbitrary.schema(Schema.Literals([2, 10, 50])),
  maxConcurrent: Arbitrary.schema(Schema.Literals([1, 2])),
  faults: Arbitrary.schema(Schema.Literals(["calm", "rough"])),
  segmentBytesMax: Arbitrary.schema(Schema.Literals([100, 8_000_000])),
  pendingBytesMax: Arbitrary.schema(Schema.Literals([400, 8_000_000]))
})

/** Programs that once found a bug. */
const regressions: ReadonlyArray<readonly [string, Program]> = [
  [
    "directories made by a process that was killed before it synced them are synced by the next one",
    {
      seed: 511_485,
      chunks: [{ keys: [0], pause: 5 }],
      runs: [
        { parallelism: 1, diesAt: 57, death: "kill" },
        { parallelism: 1, diesAt: null, death: "kill" },
        { parallelism: 1, diesAt: 60, death: "lost" }
      ],
      intervalMillis: 2,
      maxConcurrent: 2,
      faults: {},
      segmentBytesMax: 100,
      pendingBytesMax: 8_000_000
    }
  ]
]

const totals = { programs: 0, deaths: 0, steps: 0, replayed: 0, virtualMillis: 0 }

describe("recovery", () => {
  it.effect.prop(
    "1,000 random programs with failing requests and a death at any step: each record once, in order",
    { program },
    ({ program }) =>
      Effect.gen(function*() {
        const outcome = yield* World.run({ ...program, faults: program.faults === "calm" ? calm : rough } as Program)
        totals.programs++
        for (const key of ["deaths", "steps", "replayed", "virtualMillis"] as const) totals[key] += outcome[key]
      }),
    { arbitrary: { runs: 1000 }, timeout: 300_000 }
  )

  describe("what was once found", () => {
    for (const [name, found] of regressions) {
      // The step of the first death moves with the code: each of the steps around it is tried.
      it.effect(
        name,
        () =>
          Effect.forEach(
            Array.from({ length: 120 }, (_, i) => i + 1),
            (diesAt) => World.run({ ...found, runs: found.runs.map((run, i) => i === 0 ? { ...run, diesAt } : run) }),
            {
              discard: true
            }
          )
      )
    }
  })

  it("the programs met what they are for", () => {
    process.stdout.write(`recovery: ${JSON.stringify(totals)}\n`)
    assert.isAtLeast(totals.programs, 1000)
    assert.isAtLeast(totals.deaths, 800)
    assert.isAtLeast(totals.replayed, 50)
  })
})
