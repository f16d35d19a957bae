/**
 * The flags of all commands that speak with a cluster by TLS.
 *
 * @since 0.1.0
 */
import type * as Command from "effect/cli/Command"
import * as Flag from "./flag.ts"

/**
 * How a cluster is reached by TLS.
 *
 * @category constants
 * @since 0.1.0
 */
export const tls = {
  tls: Flag.toggle("tls", "Speak TLS with the cluster; the flags below do so too (default: CASSANDRA_TLS, else false)"),
  tlsCa: Flag.optional(
    "tls-ca",
    Flag.text("file"),
    "Certificate of the authority that signed the server's, PEM (default: CASSANDRA_TLS_CA, which is the text itself, " +
      "else those that Node knows)"
  ),
  tlsCert: Flag.optional(
    "tls-cert",
    Flag.text("file"),
    "Certificate of this client, where the server wants one: PEM, or .p12 or .pfx with the key in it, whose passphrase " +
      "is CASSANDRA_TLS_PASSPHRASE (default: none)"
  ),
  tlsKey: Flag.optional("tls-key", Flag.text("file"), "Its private key, PEM (default: none)"),
  tlsServername: Flag.optional(
    "tls-servername",
    Flag.text("name"),
    "The name that the server's certificate must have (default: the address that is connected to)"
  )
} satisfies Command.Command.Config

/**
 * @category models
 * @since 0.1.0
 */
export type TlsOptions = Command.Command.Config.Infer<typeof tls>
