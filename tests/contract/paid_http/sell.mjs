// Sells by npm's @x402/express and @x402/core: node sell.mjs FACILITATOR NETWORK ASSET NAME VERSION PAYEE
// Prints {"url"} when it is ready, and ends with its standard input.
import express from "express";
import { paymentMiddleware, x402ResourceServer } from "@x402/express";
import { ExactEvmScheme } from "@x402/evm/exact/server";
import { HTTPFacilitatorClient } from "@x402/core/server";

const [facilitator, network, asset, name, version, payTo] = process.argv.slice(2);
const price = (amount) => ({ amount, asset, extra: { name, version } });
const sold = (amount) => ({
  accepts: { scheme: "exact", price: price(amount), network, payTo, maxTimeoutSeconds: 60 },
  description: "Words, counted",
});
const losing = [];
const server = new x402ResourceServer(new HTTPFacilitatorClient({ url: facilitator }))
  .register(network, new ExactEvmScheme())
  // Its answer is lost after the payment was taken.
  .onAfterSettle(async () => losing.pop()?.destroy());
const app = express();
app.use((request, _response, next) => {
  if (request.path === "/lost" && request.headers["payment-signature"]) losing.push(request.socket);
  next();
});
app.use(
  paymentMiddleware(
    { "GET /words": sold("1000"), "POST /count": sold("2500"), "GET /lost": sold("1000"), "GET /broken": sold("1000"), "GET /dear": sold("5000000") },
    server,
  ),
);
app.use(express.json());
app.get("/words", (request, response) => response.json({ words: String(request.query.text).split(" ").length }));
app.post("/count", (request, response) => response.json({ words: request.body.text.split(" ").length }));
app.get("/lost", (_request, response) => response.json({ words: 0 }));
app.get("/broken", (_request, response) => response.status(500).json({ error: "it broke" }));
const listening = app.listen(0, "127.0.0.1", () => {
  console.log(JSON.stringify({ url: `http://127.0.0.1:${listening.address().port}` }));
});
process.stdin.on("end", () => process.exit(0)).resume();
