/** What Node's TLS says when a handshake fails, as a sentence with the way out. */

/** Codes of OpenSSL's certificate checks, of Node's own, and of the protocol's alerts. */
const tlsCode =
  /^(?:ERR_TLS_|ERR_SSL_|ERR_OSSL_|CERT_|CRL_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|INVALID_CA$|INVALID_PURPOSE$|PATH_LENGTH|HOSTNAME_MISMATCH$|EPROTO$)/

const untrusted = /^(?:UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|CERT_UNTRUSTED$|INVALID_CA$)/

/**
 * Undefined for a code that has nothing to do with TLS.
 *
 * @internal
 */
export const tlsFailure = (code: string, text: string, place: string): string | undefined => {
  if (!tlsCode.test(code)) return undefined
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID" || code === "HOSTNAME_MISMATCH") {
    return `The certificate of Cassandra at ${place} is for other names (${code}): ${text}. Connect by one of them, or ` +
      `say which it must have: --tls-servername / tls.servername (CASSANDRA_TLS_SERVERNAME).`
  }
  if (untrusted.test(code)) {
    return `The certificate of Cassandra at ${place} is not signed by an authority that is trusted here (${code}): ` +
      `${text}. Give the certificate of the authority that signed it: --tls-ca / tls.ca (CASSANDRA_TLS_CA).`
  }
  if (code.startsWith("CERT_")) {
    return `The certificate of Cassandra at ${place} is not valid (${code}): ${text}. The server needs another one.`
  }
  // OpenSSL's own text is a line of its source code.
  if (/CERTIFICATE_REQUIRED|certificate required|HANDSHAKE_FAILURE/.test(`${code} ${text}`)) {
    return `Cassandra at ${place} wants a certificate of the client, and was given none that it accepts (${code}). ` +
      `Give --tls-cert and --tls-key / tls.cert and tls.key (CASSANDRA_TLS_CERT, CASSANDRA_TLS_KEY).`
  }
  if (/ALERT.*(?:CERTIFICATE|UNKNOWN_CA)|alert (?:bad|unknown|certificate)/.test(`${code} ${text}`)) {
    return `Cassandra at ${place} does not accept the certificate of the client (${code}). Take one that is signed by an ` +
      `authority of its truststore: --tls-cert and --tls-key / tls.cert and tls.key.`
  }
  if (
    /WRONG_VERSION_NUMBER|wrong version number|PACKET_LENGTH_TOO_LONG|packet length too long/.test(`${code} ${text}`)
  ) {
    return `What answers at ${place} does not speak TLS (${code}). Leave TLS out (--tls, CASSANDRA_TLS), or give the port ` +
      `that has it.`
  }
  return `The TLS connection to Cassandra at ${place} failed (${code}): ${text.split("\n")[0]}. Look at the server's ` +
    `client_encryption_options, and at its log.`
}
