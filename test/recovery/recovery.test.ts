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
  WriteTimeout: 0.06,
  WriteFailure: 0.02,
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
  pendingBytesMax: Arbitrary.schema(Schema.Literals([400, 8_000_000])),
  impatient: Arbitrary.schema(Schema.Boolean)
})

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

  it("the programs met what they are for", () => {
    process.stdout.write(`recovery: ${JSON.stringify(totals)}\n`)
    assert.isAtLeast(totals.programs, 1000)
    assert.isAtLeast(totals.deaths, 800)
    assert.isAtLeast(totals.replayed, 50)
  })
})
