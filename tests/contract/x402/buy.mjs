// Buys what the merchant sells by npm's @x402/fetch: node buy.mjs PRIVATE_KEY FACILITATOR [METHOD URL]…
import { wrapFetchWithPaymentFromConfig, decodePaymentResponseHeader } from "@x402/fetch";
import { ExactEvmScheme } from "@x402/evm";
import { HTTPFacilitatorClient } from "@x402/core/server";
import { privateKeyToAccount } from "viem/accounts";

const [key, facilitator, ...asked] = process.argv.slice(2);
const account = privateKeyToAccount(key);
const pay = wrapFetchWithPaymentFromConfig(fetch, {
  schemes: [{ network: "eip155:*", client: new ExactEvmScheme(account) }],
  spendControls: false, // they know real tokens only
});
const bought = [];
for (let place = 0; place < asked.length; place += 2) {
  const [method, url] = asked.slice(place, place + 2);
  const body = method === "POST" ? JSON.stringify({ text: "Rain fell. Nobody slept." }) : undefined;
  const headers = body === undefined ? {} : { "content-type": "application/json" };
  const answer = await pay(url, { method, headers, body });
  const header = answer.headers.get("payment-response");
  await answer.arrayBuffer();
  bought.push({ status: answer.status, receipt: header === null ? null : decodePaymentResponseHeader(header) });
}
const supported = await new HTTPFacilitatorClient({ url: facilitator }).getSupported();
console.log(JSON.stringify({ address: account.address, bought, kinds: supported.kinds.length }));
