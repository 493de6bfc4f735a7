// The Node reference at its own token endpoint: client credentials, a JWT access token (RFC 9068),
// its default adapter in memory. Usage: node oidc-provider.mjs PORT ALGORITHM CLIENT_SECRET
import { generateKeyPairSync } from "node:crypto";
import { Provider } from "oidc-provider";

const [port, algorithm, clientSecret] = process.argv.slice(2);
const audience = "https://api.bench.example";
const scope = "orders.read orders.write stock.read";

const { privateKey } =
  algorithm === "RS256"
    ? generateKeyPairSync("rsa", { modulusLength: 2048 })
    : generateKeyPairSync("ec", { namedCurve: "P-256" });
const jwk = privateKey.export({ format: "jwk" });

const provider = new Provider(`http://127.0.0.1:${port}`, {
  jwks: { keys: [{ ...jwk, alg: algorithm, use: "sig", kid: "bench" }] },
  scopes: scope.split(" "),
  clients: [
    {
      client_id: "bench",
      client_secret: clientSecret,
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: [],
      id_token_signed_response_alg: algorithm,
      scope,
    },
  ],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => audience,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope,
        audience,
        accessTokenTTL: 600,
        accessTokenFormat: "jwt",
        jwt: { sign: { alg: algorithm } },
      }),
    },
  },
});

provider.listen(Number(port), "127.0.0.1", () => console.log("ready"));
