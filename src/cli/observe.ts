/**
 * What lets others look at a running verb: the metrics' server, the export to OpenTelemetry, and the names that tell the
 * series of one job from those of another.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as JobMetrics from "../job/JobMetrics.ts"
import * as JobHealth from "../observability/JobHealth.ts"
import * as MetricsServer from "../observability/MetricsServer.ts"
import * as OtlpExport from "../observability/OtlpExport.ts"
import type { LoadOptions } from "./options.ts"
import { version } from "./version.ts"

const server = (host: string, port: number) =>
  Layer.effectDiscard(Effect.flatMap(
    HttpServer.HttpServer,
    ({ address }) => Effect.logInfo(`Metrics at ${HttpServer.formatAddress(address)}/metrics, health at /ready`)
  )).pipe(Layer.provide(MetricsServer.layer({ host, port })))

/**
 * Runs `self` where it can be watched. The port is taken first: if that is impossible, nothing else has happened.
 *
 * @category combinators
 * @since 0.1.0
 */
export const observe = Effect.fnUntraced(function*<A, E, R>(
  options: LoadOptions,
  self: Effect.Effect<A, E, R>
): Effect.fn.Return<
  A,
  E | MetricsServer.MetricsServerError | OtlpExport.OtlpExportError,
  Exclude<R, JobHealth.JobHealth>
> {
  const { checkpointInterval, job, metricsHost, metricsPort, uid } = options
  const variable = yield* Effect.orElseSucceed(Config.option(Config.String("OTEL_EXPORTER_OTLP_ENDPOINT")), Option.none)
  const endpoint = options.otlpEndpoint ?? Option.getOrUndefined(variable)
  const serviceVersion = version()
  const health = JobHealth.layer({
    checkpointAgeMax: Math.max(60_000, 3 * Duration.toMillis(checkpointInterval))
  })
  const exporting = endpoint === undefined || endpoint === ""
    ? Layer.empty
    : OtlpExport.layer({ endpoint, serviceVersion })
  const serving = metricsPort === undefined ? Layer.empty : server(metricsHost, metricsPort)
  return yield* Effect.andThen(Metric.update(JobMetrics.info(serviceVersion), 1), self).pipe(
    Effect.provide(Layer.provideMerge(Layer.merge(serving, exporting), health)),
    Effect.provideService(Metric.CurrentMetricAttributes, { job_id: job, uid })
  )
})
