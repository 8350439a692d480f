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

#define RSA_MIN_SIZE 256
#define RSA_EXPONENT 65537

static const struct curve {
	const char *name;
	TPMI_ECC_CURVE id;
	int size; /* of a coordinate */
} curves[] = {
	{"prime256v1", TPM2_ECC_NIST_P256, 32},
	{"secp384r1", TPM2_ECC_NIST_P384, 48},
	{"secp521r1", TPM2_ECC_NIST_P521, 66},
};

#define CURVES (sizeof curves / sizeof *curves)

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

/* NULL, or what is wrong with the key. */
static const char *read_rsa(EVP_PKEY *key, TPMT_PUBLIC *public)
{
	CLEANUP(drop_number) BIGNUM *modulus = NULL;
	CLEANUP(drop_number) BIGNUM *exponent = NULL;
	int size;

	if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &modulus) != 1 ||
		EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent) != 1)
		return "a broken RSA key";
	size = BN_num_bytes(modulus);
	if (BN_num_bits(modulus) != 8 * size || size < RSA_MIN_SIZE || size > TPM2_SIGNATURE_SIZE ||
		size % 128 != 0)
		return "an RSA key of another size than 2048, 3072 or 4096 bits";
	if (BN_is_word(exponent, RSA_EXPONENT) != 1)
		return "an RSA key with another exponent than 65537";
	public->type = TPM2_ALG_RSA;
	public->parameters.rsaDetail.symmetric.algorithm = TPM2_ALG_NULL;
	public->parameters.rsaDetail.scheme.scheme = TPM2_ALG_NULL;
	public->parameters.rsaDetail.keyBits = (uint16_t)(8 * size);
	public->unique.rsa.size = (uint16_t)size;
	return BN_bn2binpad(modulus, public->unique.rsa.buffer, size) == size ? NULL
									      : "a broken RSA key";
}

static const struct curve *curve_of(EVP_PKEY *key)
{
	char group[32];

	if (EVP_PKEY_get_utf8_string_param(
		    key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, NULL) != 1)
		return NULL;
	for (size_t i = 0; i < CURVES; i++)
		if (strcmp(group, curves[i].name) == 0)
			return &curves[i];
	return NULL;
}

static const char *read_ecc(EVP_PKEY *key, TPMT_PUBLIC *public)
{
	CLEANUP(drop_number) BIGNUM *x = NULL;
	CLEANUP(drop_number) BIGNUM *y = NULL;
	TPMS_ECC_PARMS *parameters = &public->parameters.eccDetail;
	TPMS_ECC_POINT *point = &public->unique.ecc;
	const struct curve *curve = curve_of(key);

	if (!curve)
		return "an EC key on another curve than P-256, P-384 or P-521";
	if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_X, &x) != 1 ||
		EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_Y, &y) != 1)
		return "a broken EC key";
	public->type = TPM2_ALG_ECC;
	parameters->symmetric.algorithm = TPM2_ALG_NULL;
	parameters->scheme.scheme = TPM2_ALG_NULL;
	parameters->curveID = curve->id;
	parameters->kdf.scheme = TPM2_ALG_NULL;
	point->x.size = point->y.size = (uint16_t)curve->size;
	return BN_bn2binpad(x, point->x.buffer, curve->size) == curve->size &&
			       BN_bn2binpad(y, point->y.buffer, curve->size) == curve->size
		       ? NULL
		       : "a broken EC key";
}

/*
 * Of the key alone, without the algorithm's name around it, and of a point in its long form,
 * whichever the file has: so does systemd-measure.
 */
static bool compute_print(EVP_PKEY *key, uint8_t out_print[TPM2_PRINT_SIZE])
{
	unsigned char *der = NULL;
	int size;

	if (EVP_PKEY_is_a(key, "EC") &&
		EVP_PKEY_set_utf8_string_param(
			key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "uncompressed") != 1)
		return false;
	size = i2d_PublicKey(key, &der);
	if (size <= 0)
		return false;
	crypto_hash_sha256(out_print, der, (unsigned)size);
	OPENSSL_free(der);
	return true;
}

/* A block of a PEM file (RFC 7468); text before it is passed over. */
struct block {
	char *name, *header;
	unsigned char *bytes;
	long size;
};

/* Somebody may have given us a private key. */
static void drop_block(struct block *block)
{
	OPENSSL_free(block->name);
	OPENSSL_free(block->header);
	OPENSSL_clear_free(block->bytes, (size_t)block->size);
}

static bool read_block(BIO *bio, struct block *out_block)
{
	*out_block = (struct block){.name = NULL};
	return PEM_read_bio(bio, &out_block->name, &out_block->header, &out_block->bytes,
		       &out_block->size) == 1;
}

static const char *read_key(const struct block *block, EVP_PKEY **out_key)
{
	const unsigned char *at = block->bytes;

	if (strcmp(block->name, PEM_STRING_PUBLIC) == 0)
		*out_key = d2i_PUBKEY(NULL, &at, block->size);
	else if (strcmp(block->name, PEM_STRING_RSA_PUBLIC) == 0)
		*out_key = d2i_PublicKey(EVP_PKEY_RSA, NULL, &at, block->size);
	else if (strstr(block->name, "PRIVATE KEY"))
		return "a private key, which has no business here; take its public half: openssl "
		       "pkey -in FILE -pubout";
	else if (strstr(block->name, "CERTIFICATE"))
		return "a certificate; take the key out: openssl x509 -in FILE -noout -pubkey";
	else
		return "PEM of another kind than PUBLIC KEY";
	return *out_key && at == block->bytes + block->size ? NULL : "a broken public key";
}

static const char *read_pem(BIO *bio, EVP_PKEY **out_key)
{
	CLEANUP(drop_block) struct block block = {.name = NULL};
	CLEANUP(drop_block) struct block more = {.name = NULL};
	const char *wrong;

	if (!read_block(bio, &block))
		return "no PEM: a public key as by openssl pkey -pubout is wanted";
	wrong = read_key(&block, out_key);
	if (wrong)
		return wrong;
	return read_block(bio, &more) ? "more than one block of PEM; leave the key" : NULL;
}

const char *tpm2_key_read(const struct token_bytes *pem, struct tpm2_key *out_key)
{
	struct tpm2_key made = {
		.public.publicArea = {.nameAlg = TPM2_ALG_SHA256, .objectAttributes = ATTRIBUTES}};
	CLEANUP(drop_bio) BIO *bio = NULL;
	CLEANUP(drop_key) EVP_PKEY *key = NULL;
	const char *wrong;

	if (pem->size > TOKEN_PEM_MAX)
		return "too long";
	bio = BIO_new_mem_buf(pem->bytes, (int)pem->size);
	if (!bio)
		return "no memory for it";
	wrong = read_pem(bio, &key);
	if (wrong)
		return wrong;
	if (EVP_PKEY_is_a(key, "RSA"))
		wrong = read_rsa(key, &made.public.publicArea);
	else if (EVP_PKEY_is_a(key, "EC"))
		wrong = read_ecc(key, &made.public.publicArea);
	else
		wrong = "neither RSA nor EC";
	if (!wrong && !compute_print(key, made.print))
		wrong = "a broken public key";
	if (!wrong)
		*out_key = made;
	return wrong;
}

bool tpm2_key_is_fit(const struct tpm2_key *key)
{
	const TPMT_PUBLIC *public = &key->public.publicArea;

	return (public->type == TPM2_ALG_RSA || public->type == TPM2_ALG_ECC) &&
	       public->nameAlg == TPM2_ALG_SHA256 && public->objectAttributes == ATTRIBUTES &&
	       public->authPolicy.size == 0;
}

static bool read_ecdsa(
	const uint8_t *bytes, size_t size, int number_size, TPMS_SIGNATURE_ECDSA *out)
{
	const unsigned char *at = bytes;
	CLEANUP(drop_ecdsa) ECDSA_SIG *parsed = d2i_ECDSA_SIG(NULL, &at, (long)size);

	if (!parsed || at != bytes + size)
		return false;
	out->hash = TPM2_ALG_SHA256;
	out->signatureR.size = out->signatureS.size = (uint16_t)number_size;
	return BN_bn2binpad(ECDSA_SIG_get0_r(parsed), out->signatureR.buffer, number_size) ==
		       number_size &&
	       BN_bn2binpad(ECDSA_SIG_get0_s(parsed), out->signatureS.buffer, number_size) ==
		       number_size;
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
		if (!read_ecdsa(bytes, size, public->unique.ecc.x.size, &made.signature.ecdsa))
			return false;
	}
	*out_signature = made;
	return true;
}
