// Signs by viem and by ethers what stands on its standard input: [{"key", "domain", "message"}], and prints
// [{"viem": {"digest", "signature"}, "ethers": {"digest", "signature"}}].
import { readFileSync } from "node:fs";
import { hashTypedData } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { TypedDataEncoder, Wallet } from "ethers";

const types = {
  TransferWithAuthorization: [
    { name: "from", type: "address" },
    { name: "to", type: "address" },
    { name: "value", type: "uint256" },
    { name: "validAfter", type: "uint256" },
    { name: "validBefore", type: "uint256" },
    { name: "nonce", type: "bytes32" },
  ],
};
const signed = [];
for (const { key, domain, message } of JSON.parse(readFileSync(0, "utf8"))) {
  const number = (name) => BigInt(message[name]);
  const whole = { ...message, value: number("value"), validAfter: number("validAfter"), validBefore: number("validBefore") };
  const asked = { domain, types, primaryType: "TransferWithAuthorization", message: whole };
  signed.push({
    viem: { digest: hashTypedData(asked), signature: await privateKeyToAccount(key).signTypedData(asked) },
    ethers: {
      digest: TypedDataEncoder.hash(domain, types, whole),
      signature: await new Wallet(key).signTypedData(domain, types, whole),
    },
  });
}
console.log(JSON.stringify(signed));
