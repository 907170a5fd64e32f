/** X.509 certificates of a fleet: its own authority, the broker, the coordinator and the devices (RFC 5280). */
import { AsnConvert, OctetString } from "@peculiar/asn1-schema";
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  BasicConstraints,
  Certificate,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  GeneralName,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_kp_clientAuth,
  id_kp_serverAuth,
} from "@peculiar/asn1-x509";
import { X509Certificate, randomBytes } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { isIP } from "node:net";
import { type KeyPair, signatureOf } from "./keys.ts";

const ECDSA_WITH_SHA256 = "1.2.840.10045.4.3.2";
const COMMON_NAME = "2.5.4.3";
const DAY_MS = 86_400_000;
/** Gateways without a battery for their clock start in the past: what is issued now must hold a little earlier. */
const BACKDATED_MS = DAY_MS;

export interface CertificateRequest {
  readonly commonName: string;
  readonly publicKey: KeyObject;
  /** "authority" signs others; "server" and "client" are the ends of TLS. */
  readonly use: "authority" | "server" | "client";
  /** DNS names and addresses that a server is reached by. */
  readonly hosts?: readonly string[];
  readonly validDays: number;
  readonly nowMs: number;
}

/** Who signs: the authority's name and key. */
export interface Issuer {
  readonly commonName: string;
  readonly keys: KeyPair;
}

/** A certificate as PEM. */
export function issueCertificate(request: CertificateRequest, issuer: Issuer): string {
  const { commonName, publicKey, validDays, nowMs } = request;
  const algorithm = new AlgorithmIdentifier({ algorithm: ECDSA_WITH_SHA256 });
  const tbsCertificate = new TBSCertificate({
    version: Version.v3,
    serialNumber: newSerial(),
    signature: algorithm,
    issuer: nameOf(issuer.commonName),
    subject: nameOf(commonName),
    validity: new Validity({
      notBefore: new Date(nowMs - BACKDATED_MS),
      notAfter: new Date(nowMs + validDays * DAY_MS),
    }),
    subjectPublicKeyInfo: AsnConvert.parse(
      publicKey.export({ type: "spki", format: "der" }),
      SubjectPublicKeyInfo,
    ),
    extensions: new Extensions(extensionsOf(request)),
  });
  const signed = Buffer.from(AsnConvert.serialize(tbsCertificate));
  const certificate = new Certificate({
    tbsCertificate,
    signatureAlgorithm: algorithm,
    signatureValue: bufferOf(signatureOf(issuer.keys.privateKey, signed)),
  });
  return new X509Certificate(Buffer.from(AsnConvert.serialize(certificate))).toString();
}

/** SHA-256 of a certificate as brokers and OpenSSL print it: hex pairs with colons. Throws for text that is no certificate. */
export function fingerprintOf(pem: string): string {
  return new X509Certificate(pem).fingerprint256;
}

function extensionsOf({ use, hosts = [] }: CertificateRequest): Extension[] {
  const isAuthority = use === "authority";
  const usage = isAuthority
    ? KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign
    : KeyUsageFlags.digitalSignature;
  const extensions = [
    extension(
      id_ce_basicConstraints,
      true,
      new BasicConstraints(isAuthority ? { cA: true, pathLenConstraint: 0 } : {}),
    ),
    extension(id_ce_keyUsage, true, new KeyUsage(usage)),
  ];
  if (isAuthority) return extensions;
  const purpose = use === "server" ? id_kp_serverAuth : id_kp_clientAuth;
  extensions.push(extension(id_ce_extKeyUsage, false, new ExtendedKeyUsage([purpose])));
  if (hosts.length > 0) {
    const names = hosts.map((host) =>
      isIP(host) === 0 ? new GeneralName({ dNSName: host }) : new GeneralName({ iPAddress: host }),
    );
    extensions.push(extension(id_ce_subjectAltName, false, new SubjectAlternativeName(names)));
  }
  return extensions;
}

function extension(extnID: string, critical: boolean, value: object): Extension {
  return new Extension({
    extnID,
    critical,
    extnValue: new OctetString(AsnConvert.serialize(value)),
  });
}

function nameOf(commonName: string): Name {
  const value = new AttributeValue({ utf8String: commonName });
  const attribute = new AttributeTypeAndValue({ type: COMMON_NAME, value });
  return new Name([new RelativeDistinguishedName([attribute])]);
}

/** Positive, 127 random bits. */
function newSerial(): ArrayBuffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bufferOf(bytes);
}

function bufferOf(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}
