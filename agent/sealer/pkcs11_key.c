/* SPDX-License-Identifier: ISC */
#include "pkcs11_key.h"

#include <stdlib.h>
#include <string.h>

#define MECHANISMS_MAX 65536
#define LABEL_SIZE     7
#define RSA_BITS       (8 * PKCS11_RSA_SIZE)
#define DER_OCTETS     0x04

static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
static char label[] = "mortise";
static uint8_t rsa_exponent[] = {1, 0, 1};
/* secp256r1, 1.2.840.10045.3.1.7, as DER (RFC 5480, 2.1.1.1) */
static uint8_t p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};

static const struct {
	CK_OBJECT_CLASS class;
	CK_KEY_TYPE type;
	CK_MECHANISM_TYPE make, use;
	CK_ATTRIBUTE_TYPE purpose; /* the one thing that the key may be used for */
} kinds[PKCS11_KINDS] = {
	[PKCS11_AES] = {CKO_SECRET_KEY, CKK_AES, CKM_AES_KEY_GEN, CKM_AES_GCM, CKA_DECRYPT},
	[PKCS11_RSA] = {CKO_PRIVATE_KEY, CKK_RSA, CKM_RSA_PKCS_KEY_PAIR_GEN, CKM_RSA_PKCS_OAEP,
		CKA_DECRYPT},
	[PKCS11_EC] = {CKO_PRIVATE_KEY, CKK_EC, CKM_EC_KEY_PAIR_GEN, CKM_ECDH1_DERIVE, CKA_DERIVE},
};

enum pkcs11_kind pkcs11_kind_of(enum pkcs11_mechanism mechanism)
{
	if (mechanism == PKCS11_AES_GCM)
		return PKCS11_AES;
	return mechanism == PKCS11_ECDH ? PKCS11_EC : PKCS11_RSA;
}

static bool lists(const CK_MECHANISM_TYPE *list, CK_ULONG count, CK_MECHANISM_TYPE wanted)
{
	for (CK_ULONG i = 0; i < count; i++) {
		if (list[i] == wanted)
			return true;
	}
	return false;
}

static void free_list(CK_MECHANISM_TYPE **list)
{
	free(*list);
}

static enum mortise_status refuse_list(struct pkcs11 *token, CK_ULONG count)
{
	return pkcs11_fail(token, TOKEN_FAULT_MALFORMED,
		"C_GetMechanismList: %lu mechanisms, of %d at most", count, MECHANISMS_MAX);
}

enum mortise_status pkcs11_key_kinds(struct pkcs11 *token, unsigned *out_kinds)
{
	CLEANUP(free_list) CK_MECHANISM_TYPE *list = NULL;
	CK_ULONG count = 0, room;
	unsigned found = 0;

	TRY(pkcs11_check(token, token->module->C_GetMechanismList(token->slot, NULL, &count),
		"C_GetMechanismList", TOKEN_FAULT_OTHER));
	if (count > MECHANISMS_MAX)
		return refuse_list(token, count);
	room = count;
	list = calloc(room > 0 ? room : 1, sizeof *list);
	if (!list)
		return MORTISE_BUSY;
	TRY(pkcs11_check(token, token->module->C_GetMechanismList(token->slot, list, &count),
		"C_GetMechanismList", TOKEN_FAULT_OTHER));
	if (count > room)
		return refuse_list(token, count);
	for (unsigned kind = 0; kind < PKCS11_KINDS; kind++) {
		if (lists(list, count, kinds[kind].make) && lists(list, count, kinds[kind].use))
			found |= 1u << kind;
	}
	*out_kinds = found;
	return MORTISE_OK;
}

static enum mortise_status make_aes(
	struct pkcs11 *token, uint8_t id[PKCS11_KEY_ID_SIZE], struct pkcs11_key *out_key)
{
	CK_MECHANISM mechanism = {CKM_AES_KEY_GEN, NULL, 0};
	CK_ULONG size = PKCS11_AES_SIZE;
	CK_ATTRIBUTE secret[] = {
		{CKA_TOKEN, &yes, sizeof yes},
		{CKA_PRIVATE, &yes, sizeof yes},
		{CKA_SENSITIVE, &yes, sizeof yes},
		{CKA_EXTRACTABLE, &no, sizeof no},
		{CKA_ENCRYPT, &yes, sizeof yes},
		{CKA_DECRYPT, &yes, sizeof yes},
		{CKA_VALUE_LEN, &size, sizeof size},
		{CKA_ID, id, PKCS11_KEY_ID_SIZE},
		{CKA_LABEL, label, LABEL_SIZE},
	};

	return pkcs11_check(token,
		token->module->C_GenerateKey(token->session, &mechanism, secret,
			sizeof secret / sizeof *secret, &out_key->handle),
		"C_GenerateKey", TOKEN_FAULT_UNSUPPORTED);
}

static enum mortise_status make_rsa(
	struct pkcs11 *token, uint8_t id[PKCS11_KEY_ID_SIZE], struct pkcs11_key *out_key)
{
	CK_MECHANISM mechanism = {CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0};
	CK_ULONG bits = RSA_BITS;
	CK_ATTRIBUTE public[] = {
		{CKA_TOKEN, &yes, sizeof yes},
		{CKA_ENCRYPT, &yes, sizeof yes},
		{CKA_MODULUS_BITS, &bits, sizeof bits},
		{CKA_PUBLIC_EXPONENT, rsa_exponent, sizeof rsa_exponent},
		{CKA_ID, id, PKCS11_KEY_ID_SIZE},
		{CKA_LABEL, label, LABEL_SIZE},
	};
	CK_ATTRIBUTE private[] = {
		{CKA_TOKEN, &yes, sizeof yes},
		{CKA_PRIVATE, &yes, sizeof yes},
		{CKA_SENSITIVE, &yes, sizeof yes},
		{CKA_EXTRACTABLE, &no, sizeof no},
		{CKA_DECRYPT, &yes, sizeof yes},
		{CKA_ID, id, PKCS11_KEY_ID_SIZE},
		{CKA_LABEL, label, LABEL_SIZE},
	};

	return pkcs11_check(token,
		token->module->C_GenerateKeyPair(token->session, &mechanism, public,
			sizeof public / sizeof *public, private, sizeof private / sizeof *private,
			&out_key->public, &out_key->handle),
		"C_GenerateKeyPair", TOKEN_FAULT_UNSUPPORTED);
}

/* id: NULL for a pair of the session. */
static enum mortise_status make_ec(struct pkcs11 *token, uint8_t *id, struct pkcs11_key *out_key)
{
	CK_MECHANISM mechanism = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
	CK_BBOOL is_kept = id ? CK_TRUE : CK_FALSE;
	CK_ATTRIBUTE public[] = {
		{CKA_TOKEN, &is_kept, sizeof is_kept},
		{CKA_EC_PARAMS, p256, sizeof p256},
		{CKA_LABEL, label, LABEL_SIZE},
		{CKA_ID, id, PKCS11_KEY_ID_SIZE},
	};
	CK_ATTRIBUTE private[] = {
		{CKA_TOKEN, &is_kept, sizeof is_kept},
		{CKA_PRIVATE, &yes, sizeof yes},
		{CKA_SENSITIVE, &yes, sizeof yes},
		{CKA_EXTRACTABLE, &no, sizeof no},
		{CKA_DERIVE, &yes, sizeof yes},
		{CKA_LABEL, label, LABEL_SIZE},
		{CKA_ID, id, PKCS11_KEY_ID_SIZE},
	};
	size_t left_out = id ? 0 : 1;

	return pkcs11_check(token,
		token->module->C_GenerateKeyPair(token->session, &mechanism, public,
			sizeof public / sizeof *public - left_out, private,
			sizeof private / sizeof *private - left_out, &out_key->public,
			&out_key->handle),
		"C_GenerateKeyPair", TOKEN_FAULT_UNSUPPORTED);
}

enum mortise_status pkcs11_key_make_passing(struct pkcs11 *token, struct pkcs11_key *out_key)
{
	return make_ec(token, NULL, out_key);
}

enum mortise_status pkcs11_key_read(struct pkcs11 *token, CK_OBJECT_HANDLE object,
	CK_ATTRIBUTE_TYPE type, void *out_bytes, size_t size)
{
	CK_ATTRIBUTE attribute = {type, out_bytes, size};

	TRY(pkcs11_check(token,
		token->module->C_GetAttributeValue(token->session, object, &attribute, 1),
		"C_GetAttributeValue", TOKEN_FAULT_OTHER));
	if (attribute.ulValueLen != size)
		return pkcs11_fail(token, TOKEN_FAULT_MALFORMED,
			"C_GetAttributeValue: attribute 0x%lx has another size", type);
	return MORTISE_OK;
}

/* Anything else would be a key that mortise did not make, or that has been outside. */
static enum mortise_status check_flags(
	struct pkcs11 *token, CK_OBJECT_HANDLE key, CK_ATTRIBUTE_TYPE purpose)
{
	const struct {
		CK_ATTRIBUTE_TYPE type;
		CK_BBOOL expected;
		const char *wrong;
	} flags[] = {
		{CKA_TOKEN, CK_TRUE, "is not kept on the token"},
		{CKA_PRIVATE, CK_TRUE, "can be used without a PIN"},
		{CKA_SENSITIVE, CK_TRUE, "can be read"},
		{CKA_ALWAYS_SENSITIVE, CK_TRUE, "could be read once"},
		{CKA_EXTRACTABLE, CK_FALSE, "can be taken out"},
		{CKA_NEVER_EXTRACTABLE, CK_TRUE, "could be taken out once"},
		{CKA_LOCAL, CK_TRUE, "was not made on the token"},
		{purpose, CK_TRUE, "is for another use"},
	};
	CK_BBOOL found;

	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		TRY(pkcs11_key_read(token, key, flags[i].type, &found, sizeof found));
		if (found != flags[i].expected)
			return pkcs11_fail(token, TOKEN_FAULT_REFUSED,
				"the slot's key on the token %s", flags[i].wrong);
	}
	return MORTISE_OK;
}

static enum mortise_status check_strength(
	struct pkcs11 *token, CK_OBJECT_HANDLE key, enum pkcs11_kind kind)
{
	uint8_t bytes[PKCS11_RSA_SIZE];
	CK_ULONG size;

	if (kind == PKCS11_AES) {
		TRY(pkcs11_key_read(token, key, CKA_VALUE_LEN, &size, sizeof size));
		if (size == PKCS11_AES_SIZE)
			return MORTISE_OK;
	} else if (kind == PKCS11_RSA) {
		TRY(pkcs11_key_read(token, key, CKA_MODULUS, bytes, PKCS11_RSA_SIZE));
		if (bytes[0] >= 0x80)
			return MORTISE_OK;
	} else {
		TRY(pkcs11_key_read(token, key, CKA_EC_PARAMS, bytes, sizeof p256));
		if (memcmp(bytes, p256, sizeof p256) == 0)
			return MORTISE_OK;
	}
	return pkcs11_fail(
		token, TOKEN_FAULT_REFUSED, "the slot's key on the token has another size");
}

static enum mortise_status check(struct pkcs11 *token, CK_OBJECT_HANDLE key, enum pkcs11_kind kind)
{
	CK_OBJECT_CLASS class;
	CK_KEY_TYPE type;

	TRY(pkcs11_key_read(token, key, CKA_CLASS, &class, sizeof class));
	TRY(pkcs11_key_read(token, key, CKA_KEY_TYPE, &type, sizeof type));
	if (class != kinds[kind].class || type != kinds[kind].type)
		return pkcs11_fail(token, TOKEN_FAULT_REFUSED,
			"the slot's key on the token is of another kind");
	TRY(check_flags(token, key, kinds[kind].purpose));
	return check_strength(token, key, kind);
}

enum mortise_status pkcs11_key_make(struct pkcs11 *token, enum pkcs11_kind kind,
	const uint8_t id[PKCS11_KEY_ID_SIZE], struct pkcs11_key *out_key)
{
	uint8_t own_id[PKCS11_KEY_ID_SIZE]; /* PKCS #11 knows no const */
	struct pkcs11_key key = {0};

	memcpy(own_id, id, sizeof own_id);
	if (kind == PKCS11_AES)
		TRY(make_aes(token, own_id, &key));
	else if (kind == PKCS11_RSA)
		TRY(make_rsa(token, own_id, &key));
	else
		TRY(make_ec(token, own_id, &key));
	TRY(check(token, key.handle, kind));
	*out_key = key;
	return MORTISE_OK;
}

/* Up to max objects that fit the template. */
static enum mortise_status find(struct pkcs11 *token, CK_ATTRIBUTE *template, CK_ULONG size,
	CK_OBJECT_HANDLE *out_found, CK_ULONG max, CK_ULONG *out_count)
{
	CK_ULONG count = 0;
	CK_RV value;

	TRY(pkcs11_check(token, token->module->C_FindObjectsInit(token->session, template, size),
		"C_FindObjectsInit", TOKEN_FAULT_OTHER));
	value = token->module->C_FindObjects(token->session, out_found, max, &count);
	(void)token->module->C_FindObjectsFinal(token->session);
	TRY(pkcs11_check(token, value, "C_FindObjects", TOKEN_FAULT_OTHER));
	if (count > max)
		return pkcs11_fail(token, TOKEN_FAULT_MALFORMED, "C_FindObjects: too many");
	*out_count = count;
	return MORTISE_OK;
}

enum mortise_status pkcs11_key_find(struct pkcs11 *token, enum pkcs11_kind kind,
	const uint8_t id[PKCS11_KEY_ID_SIZE], struct pkcs11_key *out_key)
{
	uint8_t own_id[PKCS11_KEY_ID_SIZE];
	CK_OBJECT_CLASS class = kinds[kind].class;
	CK_ATTRIBUTE template[] = {
		{CKA_CLASS, &class, sizeof class},
		{CKA_ID, own_id, sizeof own_id},
	};
	CK_OBJECT_HANDLE found[2];
	CK_ULONG count = 0;

	memcpy(own_id, id, sizeof own_id);
	TRY(find(token, template, 2, found, 2, &count));
	if (count != 1)
		return pkcs11_fail(token, TOKEN_FAULT_REFUSED,
			count == 0 ? "the slot's key is not on the token any more"
				   : "more than one key on the token has the slot's id");
	TRY(check(token, found[0], kind));
	*out_key = (struct pkcs11_key){.handle = found[0]};
	return MORTISE_OK;
}

void pkcs11_key_destroy(struct pkcs11 *token, const uint8_t id[PKCS11_KEY_ID_SIZE])
{
	struct token_failure failure = *token->failure;
	uint8_t own_id[PKCS11_KEY_ID_SIZE];
	CK_ATTRIBUTE template[] = {
		{CKA_ID, own_id, sizeof own_id},
		{CKA_LABEL, label, LABEL_SIZE},
	};
	CK_OBJECT_HANDLE found[2];
	CK_ULONG count = 0;

	memcpy(own_id, id, sizeof own_id);
	if (find(token, template, 2, found, 2, &count) != MORTISE_OK)
		count = 0;
	while (count > 0)
		(void)token->module->C_DestroyObject(token->session, found[--count]);
	*token->failure = failure;
}

/* A DER OCTET STRING with the point in it (PKCS #11 2.40 Mechanisms, 2.3.3); some leave it out. */
enum mortise_status pkcs11_key_point(
	struct pkcs11 *token, const struct pkcs11_key *key, uint8_t out_point[PKCS11_POINT_SIZE])
{
	uint8_t bytes[2 + PKCS11_POINT_SIZE];
	CK_ATTRIBUTE attribute = {CKA_EC_POINT, bytes, sizeof bytes};
	const uint8_t *point = bytes;

	TRY(pkcs11_check(token,
		token->module->C_GetAttributeValue(token->session, key->public, &attribute, 1),
		"C_GetAttributeValue", TOKEN_FAULT_UNSUPPORTED));
	if (attribute.ulValueLen == sizeof bytes && bytes[0] == DER_OCTETS &&
		bytes[1] == PKCS11_POINT_SIZE)
		point += 2;
	else if (attribute.ulValueLen != PKCS11_POINT_SIZE)
		point = NULL;
	if (!point || point[0] != 0x04)
		return pkcs11_fail(token, TOKEN_FAULT_MALFORMED, "CKA_EC_POINT: no point of P-256");
	memcpy(out_point, point, PKCS11_POINT_SIZE);
	return MORTISE_OK;
}
