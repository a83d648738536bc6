package download

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/sandboxlabs/sandboxlabs/internal/fault"
)

// Keys are public OpenPGP keys. What one of them has signed is believed.
type Keys struct{ ring openpgp.EntityList }

// ParseKeys reads one armoured block of public keys, as `gpg --armor --export`
// writes it.
func ParseKeys(text []byte) (*Keys, error) {
	if n := bytes.Count(text, []byte("-----BEGIN PGP ")); n != 1 {
		return nil, fmt.Errorf("it has %d armoured blocks instead of one; `gpg --armor --export KEY KEY…` writes one of several keys", n)
	}
	block, err := armor.Decode(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	if block.Type != openpgp.PublicKeyType {
		return nil, fmt.Errorf("it holds a %s, not public keys", block.Type)
	}
	ring, err := openpgp.ReadKeyRing(block.Body)
	if err != nil {
		return nil, err
	}
	return &Keys{ring}, nil
}

// Check returns whether a signature in a separate file, armoured or not, is one of the
// keys' over a text. The key must be valid now, too: who has come by an old one
// can date a signature as they like. SHA-1 and older digests count for nothing.
//
// Errors: fault.SignatureInvalid.
func (k *Keys) Check(text, signature []byte) error {
	var body io.Reader = bytes.NewReader(signature)
	if bytes.HasPrefix(bytes.TrimSpace(signature), []byte("-----BEGIN ")) {
		block, err := armor.Decode(body)
		if err != nil || block.Type != openpgp.SignatureType {
			return fault.Wrap(err, fault.SignatureInvalid, "What should be the signature of the list of checksums is none.")
		}
		body = block.Body
	}
	return k.check(text, body)
}

// Signed returns what of a list that holds its own signature is signed: nothing
// before it, nothing after it. Errors are Check's.
func (k *Keys) Signed(list []byte) ([]byte, error) {
	block, _ := clearsign.Decode(list)
	if block == nil {
		return nil, fault.New(fault.SignatureInvalid, "The list of checksums is not signed, and the catalogue says that it must be.")
	}
	if err := k.check(block.Bytes, block.ArmoredSignature.Body); err != nil {
		return nil, err
	}
	return block.Bytes, nil
}

func (k *Keys) check(text []byte, signature io.Reader) error {
	sig, signer, err := openpgp.VerifyDetachedSignature(k.ring, bytes.NewReader(text), signature, nil)
	if err == nil {
		now := time.Now()
		if _, err = signer.VerifyPrimaryKey(now, nil); err == nil {
			if _, valid := signer.SigningKeyById(now, *sig.IssuerKeyId, nil); valid {
				return nil
			}
			err = pgperrors.ErrKeyExpired
		}
	}
	switch {
	case errors.Is(err, pgperrors.ErrUnknownIssuer):
		return fault.Wrap(err, fault.SignatureInvalid, "The list of checksums is signed by none of the keys that the catalogue names.")
	case errors.Is(err, pgperrors.ErrKeyExpired), errors.Is(err, pgperrors.ErrKeyRevoked):
		return fault.Wrap(err, fault.SignatureInvalid, "The key that signed the list of checksums has expired or was revoked. Get its maker's present key, and name it in the catalogue.")
	}
	return fault.Wrap(err, fault.SignatureInvalid, "The signature of the list of checksums does not hold: the list was changed on the way, or the signature is of another one. Try again later; if it stays so, do not use the image.")
}
