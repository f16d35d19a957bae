/**
 * Metrics, spans and logs to an OpenTelemetry collector, by Effect's own exporter (OTLP over HTTP, as JSON).
 *
 * Everything but the endpoint obeys OpenTelemetry's variables: `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_SERVICE_NAME`,
 * `OTEL_METRIC_EXPORT_INTERVAL`, `OTEL_TRACES_EXPORTER=none`, `OTEL_SDK_DISABLED` and so on. A collector that does not
 * answer costs its data, and nothing else.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Otlp from "effect/observability/Otlp"
import * as OtlpSerialization from "effect/observability/OtlpSerialization"
import * as Schema from "effect/Schema"
import * as AllMetrics from "./AllMetrics.ts"

/**
 * One of OpenTelemetry's variables has a value that can't be read.
 *
 * @category errors
 * @since 0.1.0
 */
export class OtlpExportError
  extends Schema.TaggedError<OtlpExportError>("effect-cassandra/OtlpExportError")("OtlpExportError", {
    detail: Schema.String
  })
{
  override get message(): string {
    return `The export to OpenTelemetry can't begin, as a variable can't be used. ${this.detail}`
  }
}

/**
 * Where the collector is, and what it is told of this process.
 *
 * @category models
 * @since 0.1.0
 */
export interface OtlpExportOptions {
  /** The collector's base URL, as `http://127.0.0.1:4318`; `/v1/metrics` and its like are appended. */
  readonly endpoint: string
  /** Of the service, as a resource attribute. Default none. */
  readonly serviceVersion?: string | undefined
}

/** What is exported, and as whose, where the environment says nothing. */
const defaults = ConfigProvider.fromEnv({
  env: {
    OTEL_SERVICE_NAME: "effect-cassandra",
    OTEL_METRICS_EXPORTER: "otlp",
    OTEL_TRACES_EXPORTER: "otlp",
    OTEL_LOGS_EXPORTER: "otlp"
  }
})

/** `ConfigError(SchemaError(Expected ..., got "x"\n  at ["OTEL_X"]))` in one line that names the variable first. */
const describe = (error: unknown): string => {
  const message = error instanceof Error ? error.message : String(error)
  const [, what, name] = /(Expected [^]*?)\s+at \["(\w+)"\]/.exec(message) ?? []
  return (name === undefined ? message : `${name}: ${what}`).replace(/\s+/g, " ")
}

/**
 * Exports as long as it is there, and at its end what is left.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: OtlpExportOptions): Layer.Layer<never, OtlpExportError> =>
  Layer.unwrap(Effect.map(ConfigProvider.ConfigProvider, (environment) => {
    const provider = ConfigProvider.fromEnv({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: options.endpoint } }).pipe(
      ConfigProvider.orElse(environment),
      ConfigProvider.orElse(defaults)
    )
    return Otlp.layerFromConfig({ resource: { serviceVersion: options.serviceVersion } }).pipe(
      Layer.provide([
        FetchHttpClient.layer,
        OtlpSerialization.layerJson,
        Layer.succeed(ConfigProvider.ConfigProvider, provider)
      ]),
      Layer.catchCause((cause) =>
        Layer.effectDiscard(Effect.fail(new OtlpExportError({ detail: describe(Cause.squash(cause)) })))
      ),
      // Registered before the first export, and still there for the last.
      Layer.provide(AllMetrics.layer)
    )
  }))
