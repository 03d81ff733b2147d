// The official library as a judge: reads {action, ...} as JSON from standard input and prints the answer as JSON.
import { readFileSync } from 'node:fs';
import crypto from 'node:crypto';
import { createChallenge, solveChallenge, verifySolution } from 'altcha-lib';
import { deriveKey as pbkdf2 } from 'altcha-lib/algorithms/pbkdf2';
import { deriveKey as sha } from 'altcha-lib/algorithms/sha';
import { deriveKey as scrypt } from 'altcha-lib/algorithms/scrypt';
import { deriveKey as argon2id } from 'altcha-lib/algorithms/argon2id';

const input = JSON.parse(readFileSync(0, 'utf8'));

function derive(algorithm) {
  if (algorithm.startsWith('PBKDF2/')) return pbkdf2;
  if (algorithm === 'SCRYPT') return scrypt;
  if (algorithm === 'ARGON2ID') return argon2id;
  return sha;
}

const secrets = { hmacSignatureSecret: input.secret, hmacKeySignatureSecret: input.keySecret };
const encode = (challenge, solution) => Buffer.from(JSON.stringify({ challenge, solution })).toString('base64');
let answer;
switch (input.action) {
  case 'supports':
    answer = { argon2id: 'argon2' in crypto };
    break;
  case 'solve': {
    const challenge = input.challenge;
    const solution = await solveChallenge({ challenge, deriveKey: derive(challenge.parameters.algorithm) });
    answer = { token: encode(challenge, solution) };
    break;
  }
  case 'create': {
    const options = Object.assign({}, input.options, secrets, { deriveKey: derive(input.options.algorithm) });
    const challenge = await createChallenge(options);
    const solution = await solveChallenge({ challenge, deriveKey: options.deriveKey });
    answer = { challenge, token: encode(challenge, solution) };
    break;
  }
  case 'verify': {
    const { challenge, solution } = JSON.parse(Buffer.from(input.token, 'base64').toString());
    answer = await verifySolution(Object.assign({ challenge, solution, deriveKey: derive(challenge.parameters.algorithm) }, secrets));
    break;
  }
}
process.stdout.write(JSON.stringify(answer));
