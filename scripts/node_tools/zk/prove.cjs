// The reference prover and verifier for tests and benchmarks: node prove.cjs ZKEY WTNS VKEY [REPEATS]
// Prints one JSON line: proof, publicSignals, verified, CPU seconds (all threads) of the best proof and verification.
const fs = require("fs");
const snarkjs = require("snarkjs");

function seconds(since) {
  const used = process.cpuUsage(since);
  return (used.user + used.system) / 1e6;
}

async function main() {
  const [zkey, wtns, vkeyPath, repeats = "1"] = process.argv.slice(2);
  const vkey = JSON.parse(fs.readFileSync(vkeyPath, "utf8"));
  let out = null;
  let prove = Infinity;
  let verify = Infinity;
  let verified = true;
  for (let i = 0; i < Number(repeats); i++) {
    const start = process.cpuUsage();
    out = await snarkjs.groth16.prove(zkey, wtns);
    prove = Math.min(prove, seconds(start));
    const middle = process.cpuUsage();
    verified = verified && (await snarkjs.groth16.verify(vkey, out.publicSignals, out.proof));
    verify = Math.min(verify, seconds(middle));
  }
  console.log(JSON.stringify({ ...out, verified, prove, verify }));
  process.exit(0);
}

main();
