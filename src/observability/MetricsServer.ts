/**
 * What an operator's tools ask a running job for, over HTTP:
 *
 *     GET /metrics   all metrics of the process in Prometheus' text format
 *     GET /live      200 while the process runs
 *     GET /ready     200 while the job does its work, else 503; {"ready":false,"reasons":["Cassandra does not answer: ..."]}
 *
 * Not ready is nothing to kill a process for: it waits for Cassandra, and goes on when it is back.
 *
 * @since 0.1.0
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import type { ServeError } from "effect/http/HttpServerError"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import * as Schema from "effect/Schema"
import { createServer } from "node:http"
import * as AllMetrics from "./AllMetrics.ts"
import { JobHealth } from "./JobHealth.ts"
import { prometheusName } from "./MetricNames.ts"

/**
 * The address can't be listened at.
 *
 * @category errors
 * @since 0.1.0
 */
export class MetricsServerError
  extends Schema.TaggedError<MetricsServerError>("effect-cassandra/MetricsServerError")("MetricsServerError", {
    host: Schema.String,
    port: Schema.Int,
    detail: Schema.String
  })
{
  override get message(): string {
    return `Metrics can't be served at ${this.host}:${this.port}: ${this.detail}`
  }
}

/**
 * Where the server listens.
 *
 * @category models
 * @since 0.1.0
 */
export interface MetricsServerOptions {
  /** 0 takes a free one. */
  readonly port: number
  /** The address to listen at: `0.0.0.0` for all of the machine's. Default `127.0.0.1`. */
  readonly host?: string | undefined
}

const describe = ({ cause }: ServeError): string => {
  const { code, message } = cause as NodeJS.ErrnoException
  switch (code) {
    case "EADDRINUSE":
      return "another process listens there. Choose another port, or 0 for a free one."
    case "EACCES":
      return "this user may not listen there (ports below 1024 need a privilege). Choose a greater port."
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "the host is no address of this machine. 127.0.0.1 serves this machine alone, 0.0.0.0 all that reach it."
    default:
      return message
  }
}

const routes = Layer.effectDiscard(Effect.gen(function*() {
  const router = yield* HttpRouter.HttpRouter
  const health = yield* JobHealth
  yield* router.add("GET", "/live", Effect.succeed(HttpServerResponse.text("live\n")))
  yield* router.add(
    "GET",
    "/ready",
    Effect.map(
      health.readiness,
      (readiness) => HttpServerResponse.jsonUnsafe(readiness, { status: readiness.ready ? 200 : 503 })
    )
  )
}))

/**
 * Serves as long as it is there; `HttpServer.address` says where.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: MetricsServerOptions
): Layer.Layer<HttpServer.HttpServer, MetricsServerError, JobHealth> => {
  const { host = "127.0.0.1", port } = options
  // A scrape takes a moment: whoever is slow to read it must not hold up the end of the process.
  const listening = NodeHttpServer.make(createServer, { host, port, gracefulShutdownTimeout: "1 second" }).pipe(
    Effect.mapError((error) => new MetricsServerError({ host, port, detail: describe(error) }))
  )
  return HttpRouter.serve(
    Layer.merge(routes, PrometheusMetrics.layerHttp({ metricNameMapper: prometheusName })),
    { disableLogger: true, disableListenLog: true }
  ).pipe(
    Layer.provideMerge(Layer.effect(HttpServer.HttpServer, listening)),
    Layer.provide(NodeHttpServer.layerHttpServices),
    Layer.provide(AllMetrics.layer)
  )
}
