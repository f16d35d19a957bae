import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Schema } from "effect"
import * as LosslessJson from "../../src/source/LosslessJson.ts"

const Digits = Arbitrary.map(
  Arbitrary.array(Arbitrary.schema(Schema.Literals(["0", "1", "5", "9"])), { minLength: 1, maxLength: 30 }),
  (digits) => digits.join("").replace(/^0+(?=.)/, "")
)

describe("LosslessJson", () => {
  it.effect.prop(
    "keeps every digit of a number, and every string as it is",
    { whole: Digits, fraction: Digits, negative: Schema.Boolean, dot: Schema.Boolean, other: Schema.String },
    ({ dot, fraction, negative, other, whole }) =>
      Effect.sync(() => {
        const text = `${negative ? "-" : ""}${whole}${dot ? `.${fraction}` : ""}`
        const value = LosslessJson.parse(
          `{"n":[${text}],"same":"${text}\\"${text}",${JSON.stringify(`_${other}`)}:1.5}`
        ) as any
        const kept = value.n[0]
        if (/\d[\d.]{15}/.test(text)) assert.strictEqual(kept, text)
        else assert.strictEqual(kept, Number(text))
        assert.strictEqual(value.same, `${text}"${text}`)
        assert.strictEqual(value[`_${other}`], 1.5)
      }),
    { arbitrary: { runs: 500 } }
  )

  it("finds a long number wherever it stands", () => {
    for (let at = 0; at < 40; at++) {
      for (let length = 1; length < 40; length++) {
        const text = " ".repeat(at) + "7".repeat(length) + ",".repeat(at % 3)
        assert.strictEqual(LosslessJson.mayLoseDigits(text), length >= 16, text)
      }
    }
  })

  it("makes a number a string by its own length, whatever else is in the text", () => {
    assert.deepStrictEqual(
      LosslessJson.parse("[1234567890123456, 1234567890.00001, -1.5e+00000000001, 123456789012345]"),
      ["1234567890123456", "1234567890.00001", -15, 123456789012345]
    )
  })

  it("keeps a number that is too large or too small for a double, so that nobody takes it for an infinity or for nothing", () => {
    const beyond = ["1e400", "-1E+400", "17e308", "1e-400", "-2.5e-0400", "4e-320", "123456789012345e300"]
    for (const text of beyond) {
      for (const around of [text, ` ${text}`, `[1,${text}]`, `{"a":${text}}`, `{"a": [${text} ,2]}`]) {
        assert.deepStrictEqual(LosslessJson.parse(around), JSON.parse(around.replace(text, `"${text}"`)), around)
      }
    }
    for (const text of ["1e100", "1.5e-300", "0e-400", "-0.0e999", "1e0020"]) {
      assert.strictEqual(LosslessJson.parse(text), Number(text), text)
    }
    const inside = `{"a":"x,1e400","b":"4e-400","550e8400":"-1e400,"}`
    assert.deepStrictEqual(LosslessJson.parse(inside), JSON.parse(inside))
    assert.isFalse(LosslessJson.mayLoseDigits(`{"uuid":"550e8400-1e12-4e400-a716-446655440000"}`))
    assert.throws(() => LosslessJson.parse(`{"a":01e400}`), SyntaxError)
  })

  it("leaves what is not a number to JSON.parse to refuse", () => {
    for (
      const text of [
        "1.2.3.4.5.6.7.8.9",
        "00000000000000001",
        "1234567890123456.",
        "12345678901234567e",
        "--12345678901234567"
      ]
    ) {
      assert.throws(() => LosslessJson.parse(`{"a":${text}}`), SyntaxError)
    }
    assert.throws(() => LosslessJson.parse("{\"a\":1234567890123456789x}"), SyntaxError)
  })

  it("reads a key with an escape after one that ends in a backslash there", () => {
    // V8 takes the second key for the first: what came of that was one of 200,000 runs of the property above.
    for (const escape of ["\\n", "\\u0000", "\\\"", "\\\\", "\\u0041", "\\/"]) {
      const key = JSON.parse(`"k${escape}"`) as string
      for (const parse of [LosslessJson.parse, LosslessJson.parserFor(`"k${escape}"`, false)]) {
        LosslessJson.parse(`{"${escape.length}k\\\\":1,"k\\\\":1}`)
        const value = parse(
          `{"${escape.length}k\\\\":1,"k${escape}" : {"k${escape}":"k${escape}:"}, "a":["\\n"]}`
        ) as any
        assert.deepStrictEqual(value, {
          [`${escape.length}k\\`]: 1,
          [key]: { [key]: `${key}:` },
          a: ["\n"]
        })
      }
    }
    // What is no JSON, and what another key looks like.
    assert.throws(() => LosslessJson.parse("{\"a\\x\":1}"), SyntaxError)
    assert.throws(() => LosslessJson.parse("{\"a\\n\":1"), SyntaxError)
    assert.deepStrictEqual(LosslessJson.parse("{\"a\\n\":1,\"\ue0000\":2,\"a\\u000a\":3}"), { "a\n": 3, "\ue0000": 2 })
  })

  it("does not stumble over a very long string", () => {
    const long = "\\\\1234567890123456789\\\"".repeat(200_000)
    assert.strictEqual(
      (LosslessJson.parse(`{"a":"${long}","b":12345678901234567890}`) as any).b,
      "12345678901234567890"
    )
  })
})
