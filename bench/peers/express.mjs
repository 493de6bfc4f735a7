// An Express application behind express-oauth2-jwt-bearer, set up as its README says, on one
// process. Usage: node express.mjs PORT ISSUER AUDIENCE
import express from "express";
import { auth, requiredScopes } from "express-oauth2-jwt-bearer";

const [port, issuerBaseURL, audience] = process.argv.slice(2);
const order = JSON.parse(process.env.BENCH_ORDER);

const app = express();
app.use(auth({ issuerBaseURL, audience }));
app.get("/orders", requiredScopes("orders.read"), (request, response) => {
  response.json(order);
});
app.listen(Number(port), "127.0.0.1");
