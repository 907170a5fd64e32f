/** Certificates as Node's own X.509 reads them, and as TLS uses them. */
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { fingerprintOf, issueCertificate } from "../../src/security/certificates.ts";
import { newKeyPair } from "../../src/security/keys.ts";

const nowMs = Date.UTC(2026, 0, 1);
const issuer = { commonName: "fleet authority", keys: newKeyPair("tls") };
const authority = issueCertificate(
  {
    commonName: issuer.commonName,
    publicKey: issuer.keys.publicKey,
    use: "authority",
    validDays: 10,
    nowMs,
  },
  issuer,
);

test("an authority signs itself and may sign others", () => {
  const read = new X509Certificate(authority);
  assert.equal(read.ca, true);
  assert.equal(read.subject, "CN=fleet authority");
  assert.ok(read.verify(issuer.keys.publicKey));
  assert.ok(read.checkIssued(read));
});

test("a server's certificate names its hosts, a client's names only itself", () => {
  const { publicKey } = newKeyPair("tls");
  const shared = { publicKey, validDays: 10, nowMs };
  const hosts = ["broker.example", "192.168.1.10", "::1"];
  const server = new X509Certificate(
    issueCertificate({ ...shared, commonName: "broker", use: "server", hosts }, issuer),
  );
  assert.equal(server.ca, false);
  assert.equal(server.checkHost("broker.example"), "broker.example");
  assert.equal(server.checkIP("192.168.1.10"), "192.168.1.10");
  assert.equal(server.checkIP("::1"), "::1");
  assert.deepEqual(server.keyUsage, ["1.3.6.1.5.5.7.3.1"]);
  assert.ok(server.verify(issuer.keys.publicKey));
  const pem = issueCertificate({ ...shared, commonName: "gw-1", use: "client" }, issuer);
  const client = new X509Certificate(pem);
  assert.equal(client.subject, "CN=gw-1");
  assert.equal(client.subjectAltName, undefined);
  assert.deepEqual(client.keyUsage, ["1.3.6.1.5.5.7.3.2"]);
  assert.ok(client.checkIssued(new X509Certificate(authority)));
  assert.ok(!client.verify(newKeyPair("tls").publicKey));
  assert.equal(fingerprintOf(pem), client.fingerprint256);
});

test("a certificate holds from the day before for as long as asked, and has its own serial number", () => {
  const { publicKey } = newKeyPair("tls");
  const request = { commonName: "x", publicKey, use: "client", validDays: 3, nowMs } as const;
  const [one, two] = [1, 2].map(() => new X509Certificate(issueCertificate(request, issuer)));
  assert.ok(one !== undefined && two !== undefined);
  assert.equal(Date.parse(one.validFrom), nowMs - 86_400_000);
  assert.equal(Date.parse(one.validTo), nowMs + 3 * 86_400_000);
  assert.notEqual(one.serialNumber, two.serialNumber);
});
