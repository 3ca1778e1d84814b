// The reference verifier on stored proofs: node verify.cjs < [{"vkey", "public", "proof"}, ...]; prints [true, ...].
const fs = require("fs");
const snarkjs = require("snarkjs");

async function main() {
  const answers = [];
  for (const item of JSON.parse(fs.readFileSync(0, "utf8"))) {
    answers.push(await snarkjs.groth16.verify(item.vkey, item.public, item.proof));
  }
  console.log(JSON.stringify(answers));
  process.exit(0);
}

main();
