// npm oidc-provider, configured and not patched, over TLS: one address for everybody, and one that asks
// clients for their certificate. Usage: node oidc-provider.mjs SETTINGS.json
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { Provider } from "oidc-provider";

const settings = JSON.parse(readFileSync(process.argv[2], "utf8"));

const provider = new Provider(settings.issuer, {
  jwks: settings.jwks,
  clients: settings.clients,
  scopes: ["openid", "offline_access", ...settings.scopes],
  cookies: { keys: [randomBytes(32).toString("hex")] },
  clientAuthMethods: [
    "none", "private_key_jwt", "self_signed_tls_client_auth", "tls_client_auth",
  ],
  rotateRefreshToken: true,
  pkce: { required: () => true },
  discovery: {
    mtls_endpoint_aliases: { token_endpoint: `${settings.mtls}/token`, revocation_endpoint: `${settings.mtls}/token/revocation` },
  },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true },
    revocation: { enabled: true },
    introspection: { enabled: true, allowedPolicy: () => true },
    pushedAuthorizationRequests: { enabled: true },
    dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => settings.dpopNonce },
    mTLS: {
      enabled: true,
      certificateBoundAccessTokens: true,
      selfSignedTlsClientAuth: true,
      tlsClientAuth: true,
      getCertificate: (ctx) => ctx.req.socket.getPeerX509Certificate?.()?.toString(),
      certificateAuthorized: (ctx) => ctx.req.socket.authorized,
      certificateSubjectMatches: (ctx, property, expected) =>
        property === "tls_client_auth_san_dns" &&
        ctx.req.socket.getPeerX509Certificate().subjectAltName === `DNS:${expected}`,
    },
    resourceIndicators: {
      enabled: true,
      useGrantedResource: () => true,
      getResourceServerInfo: (_ctx, resource) => ({
        scope: settings.scopes.join(" "),
        audience: resource,
        accessTokenTTL: 600,
        accessTokenFormat: "jwt",
        jwt: { sign: { alg: "ES256" } },
      }),
    },
  },
});

const tls = { key: readFileSync(settings.key), cert: readFileSync(settings.certificate) };
const asking = { ...tls, ca: readFileSync(settings.clientsCa), requestCert: true, rejectUnauthorized: false };
const listen = (options, url) =>
  new Promise((done) => {
    createServer(options, provider.callback()).listen(Number(new URL(url).port), "127.0.0.1", done);
  });
await listen(tls, settings.issuer);
await listen(asking, settings.mtls);
