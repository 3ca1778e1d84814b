// A rehearsal of a two-party ceremony with snarkjs: node ceremony.cjs FOLDER POWER
// From FOLDER/circuit.r1cs to FOLDER/first.zkey and FOLDER/final.zkey, with powers of tau of its own for 2^POWER
// constraints. A real ceremony takes public powers of tau instead, and each party runs its own line (docs/PROOF_KEYS.md).
const fs = require("fs");
const path = require("path");
const crypto = require("crypto");
const snarkjs = require("snarkjs");

async function main() {
  const [folder, power] = process.argv.slice(2);
  const at = (name) => path.join(folder, name);
  const secret = () => crypto.randomBytes(64).toString("hex");
  const curve = await require("ffjavascript").buildBn128();
  await snarkjs.powersOfTau.newAccumulator(curve, Number(power), at("powers0.ptau"));
  await snarkjs.powersOfTau.contribute(at("powers0.ptau"), at("powers1.ptau"), "powers", secret());
  await snarkjs.powersOfTau.preparePhase2(at("powers1.ptau"), at("powers.ptau"));
  await snarkjs.zKey.newZKey(at("circuit.r1cs"), at("powers.ptau"), at("first.zkey"));
  await snarkjs.zKey.contribute(at("first.zkey"), at("second.zkey"), "the first party", secret());
  await snarkjs.zKey.contribute(at("second.zkey"), at("third.zkey"), "the second party", secret());
  await snarkjs.zKey.beacon(at("third.zkey"), at("final.zkey"), "beacon", crypto.randomBytes(32).toString("hex"), 10);
  const holds = await snarkjs.zKey.verifyFromR1cs(at("circuit.r1cs"), at("powers.ptau"), at("final.zkey"));
  console.log(JSON.stringify({ verified: holds }));
  process.exit(holds ? 0 : 1);
}

main();
