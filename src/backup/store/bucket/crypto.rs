//! What requests are signed with: the OpenSSL that is linked anyway.

use object_store::client::{CryptoProvider, DigestAlgorithm, DigestContext, HmacContext, Signer, SigningAlgorithm};
use object_store::{Error, Result};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::sha::Sha256;

/// OpenSSL, as object stores want it.
#[derive(Debug)]
pub(in crate::backup::store) struct OpenSsl;

fn failed(error: ErrorStack) -> Error {
    Error::Generic { store: "OpenSSL", source: error.into() }
}

impl CryptoProvider for OpenSsl {
    fn digest(&self, algorithm: DigestAlgorithm) -> Result<Box<dyn DigestContext>> {
        match algorithm {
            DigestAlgorithm::Sha256 => Ok(Box::new(Sum { sum: Sha256::new(), found: [0; 32] })),
            other => Err(unknown(&other)),
        }
    }

    fn hmac(&self, algorithm: DigestAlgorithm, secret: &[u8]) -> Result<Box<dyn HmacContext>> {
        match algorithm {
            DigestAlgorithm::Sha256 => {
                let key = PKey::hmac(secret).map_err(failed)?;
                Ok(Box::new(Hmac { key, text: Vec::new(), found: Vec::new() }))
            }
            other => Err(unknown(&other)),
        }
    }

    fn sign(&self, algorithm: SigningAlgorithm, pem: &[u8]) -> Result<Box<dyn Signer>> {
        match algorithm {
            SigningAlgorithm::RS256 => Ok(Box::new(Rsa(PKey::private_key_from_pem(pem).map_err(failed)?))),
            other => Err(unknown(&other)),
        }
    }
}

fn unknown(algorithm: &impl std::fmt::Debug) -> Error {
    Error::NotSupported { source: format!("{algorithm:?} is not known here").into() }
}

struct Sum {
    sum: Sha256,
    found: [u8; 32],
}

impl DigestContext for Sum {
    fn update(&mut self, data: &[u8]) {
        self.sum.update(data);
    }

    fn finish(&mut self) -> Result<&[u8]> {
        self.found = self.sum.clone().finish();
        Ok(&self.found)
    }
}

/// What is signed is the description of a request, of some hundred bytes.
struct Hmac {
    key: PKey<Private>,
    text: Vec<u8>,
    found: Vec<u8>,
}

impl HmacContext for Hmac {
    fn update(&mut self, data: &[u8]) {
        self.text.extend_from_slice(data);
    }

    fn finish(&mut self) -> Result<&[u8]> {
        self.found = signature(&self.key, &self.text).map_err(failed)?;
        Ok(&self.found)
    }
}

struct Rsa(PKey<Private>);

impl Signer for Rsa {
    fn sign(&self, text: &[u8]) -> Result<Vec<u8>> {
        signature(&self.0, text).map_err(failed)
    }
}

fn signature(key: &PKey<Private>, text: &[u8]) -> std::result::Result<Vec<u8>, ErrorStack> {
    openssl::sign::Signer::new(MessageDigest::sha256(), key)?.sign_oneshot_to_vec(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// RFC 4231, case 2, and FIPS 180-2, appendix B.1.
    #[test]
    fn known_texts_have_their_known_digests() {
        let mut hmac = OpenSsl.hmac(DigestAlgorithm::Sha256, b"Jefe").expect("known");
        hmac.update(b"what do ya want ");
        hmac.update(b"for nothing?");
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex(hmac.finish().expect("signed")), expected);
        let mut sum = OpenSsl.digest(DigestAlgorithm::Sha256).expect("known");
        sum.update(b"a");
        sum.update(b"bc");
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex(sum.finish().expect("computed")), expected);
    }
}
