/* SPDX-License-Identifier: ISC */
#include "tpm2_key.h"

#include <string.h>

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <sodium.h>

#define P256_SIZE    32
#define RSA_MIN_SIZE 256
#define RSA_EXPONENT 65537

/* Loaded to verify and for nothing else. */
#define ATTRIBUTES (TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_USERWITHAUTH)

static void drop_key(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}

static void drop_number(BIGNUM **number)
{
	BN_free(*number);
}

static void drop_bio(BIO **bio)
{
	BIO_free(*bio);
}

static void drop_ecdsa(ECDSA_SIG **signature)
{
	ECDSA_SIG_free(*signature);
}

static bool read_rsa(EVP_PKEY *key, TPMT_PUBLIC *public)
{
	CLEANUP(drop_number) BIGNUM *modulus = NULL;
	CLEANUP(drop_number) BIGNUM *exponent = NULL;
	int size;

	if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &modulus) != 1 ||
		EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent) != 1)
		return false;
	size = BN_num_bytes(modulus);
	if (BN_is_word(exponent, RSA_EXPONENT) != 1 || BN_num_bits(modulus) != 8 * size ||
		size < RSA_MIN_SIZE || size > TPM2_SIGNATURE_SIZE || size % 128 != 0)
		return false;
	public->type = TPM2_ALG_RSA;
	public->parameters.rsaDetail.symmetric.algorithm = TPM2_ALG_NULL;
	public->parameters.rsaDetail.scheme.scheme = TPM2_ALG_NULL;
	public->parameters.rsaDetail.keyBits = (uint16_t)(8 * size);
	public->unique.rsa.size = (uint16_t)size;
	return BN_bn2binpad(modulus, public->unique.rsa.buffer, size) == size;
}

static bool read_ecc(EVP_PKEY *key, TPMT_PUBLIC *public)
{
	CLEANUP(drop_number) BIGNUM *x = NULL;
	CLEANUP(drop_number) BIGNUM *y = NULL;
	TPMS_ECC_PARMS *parameters = &public->parameters.eccDetail;
	TPMS_ECC_POINT *point = &public->unique.ecc;
	char group[32];

	if (EVP_PKEY_get_utf8_string_param(
		    key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, NULL) != 1 ||
		strcmp(group, "prime256v1") != 0 ||
		EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_X, &x) != 1 ||
		EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_Y, &y) != 1)
		return false;
	public->type = TPM2_ALG_ECC;
	parameters->symmetric.algorithm = TPM2_ALG_NULL;
	parameters->scheme.scheme = TPM2_ALG_NULL;
	parameters->curveID = TPM2_ECC_NIST_P256;
	parameters->kdf.scheme = TPM2_ALG_NULL;
	point->x.size = P256_SIZE;
	point->y.size = P256_SIZE;
	return BN_bn2binpad(x, point->x.buffer, P256_SIZE) == P256_SIZE &&
	       BN_bn2binpad(y, point->y.buffer, P256_SIZE) == P256_SIZE;
}

/* Of the key alone, without the algorithm's name around it: so does systemd-measure. */
static bool compute_print(EVP_PKEY *key, uint8_t out_print[TPM2_PRINT_SIZE])
{
	unsigned char *der = NULL;
	int size = i2d_PublicKey(key, &der);

	if (size <= 0)
		return false;
	crypto_hash_sha256(out_print, der, (unsigned)size);
	OPENSSL_free(der);
	return true;
}

bool tpm2_key_read(const struct token_bytes *pem, struct tpm2_key *out_key)
{
	struct tpm2_key made = {
		.public.publicArea = {.nameAlg = TPM2_ALG_SHA256, .objectAttributes = ATTRIBUTES}};
	CLEANUP(drop_bio) BIO *bio = NULL;
	CLEANUP(drop_key) EVP_PKEY *key = NULL;
	bool is_read;

	if (pem->size == 0 || pem->size > TOKEN_PEM_MAX)
		return false;
	bio = BIO_new_mem_buf(pem->bytes, (int)pem->size);
	if (bio == NULL)
		return false;
	/* An empty passphrase: nothing here may ever ask one of a terminal. */
	key = PEM_read_bio_PUBKEY(bio, NULL, NULL, (char[]){""});
	if (key == NULL)
		return false;
	is_read = EVP_PKEY_is_a(key, "RSA")
			  ? read_rsa(key, &made.public.publicArea)
			  : EVP_PKEY_is_a(key, "EC") && read_ecc(key, &made.public.publicArea);
	if (!is_read || !compute_print(key, made.print))
		return false;
	*out_key = made;
	return true;
}

bool tpm2_key_is_fit(const struct tpm2_key *key)
{
	const TPMT_PUBLIC *public = &key->public.publicArea;

	return (public->type == TPM2_ALG_RSA || public->type == TPM2_ALG_ECC) &&
	       public->nameAlg == TPM2_ALG_SHA256 && public->objectAttributes == ATTRIBUTES &&
	       public->authPolicy.size == 0;
}

static bool read_ecdsa(const uint8_t *bytes, size_t size, TPMS_SIGNATURE_ECDSA *out)
{
	const unsigned char *at = bytes;
	CLEANUP(drop_ecdsa) ECDSA_SIG *parsed = d2i_ECDSA_SIG(NULL, &at, (long)size);

	if (parsed == NULL || at != bytes + size)
		return false;
	out->hash = TPM2_ALG_SHA256;
	out->signatureR.size = P256_SIZE;
	out->signatureS.size = P256_SIZE;
	return BN_bn2binpad(ECDSA_SIG_get0_r(parsed), out->signatureR.buffer, P256_SIZE) ==
		       P256_SIZE &&
	       BN_bn2binpad(ECDSA_SIG_get0_s(parsed), out->signatureS.buffer, P256_SIZE) ==
		       P256_SIZE;
}

bool tpm2_key_signature(const struct tpm2_key *key, const uint8_t *bytes, size_t size,
	TPMT_SIGNATURE *out_signature)
{
	const TPMT_PUBLIC *public = &key->public.publicArea;
	TPMT_SIGNATURE made = {0};
	TPMS_SIGNATURE_RSASSA *rsa = &made.signature.rsassa;

	if (size > TPM2_SIGNATURE_SIZE)
		return false;
	if (public->type == TPM2_ALG_RSA) {
		if (size != public->unique.rsa.size)
			return false;
		made.sigAlg = TPM2_ALG_RSASSA;
		rsa->hash = TPM2_ALG_SHA256;
		rsa->sig.size = (uint16_t)size;
		memcpy(rsa->sig.buffer, bytes, size);
	} else {
		made.sigAlg = TPM2_ALG_ECDSA;
		if (!read_ecdsa(bytes, size, &made.signature.ecdsa))
			return false;
	}
	*out_signature = made;
	return true;
}
