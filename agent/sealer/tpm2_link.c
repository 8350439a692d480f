/* SPDX-License-Identifier: ISC */
#include "tpm2_link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <tss2/tss2_rc.h>
#include <tss2/tss2_tctildr.h>

#include "tpm2_fault.h"
#include "tpm2_notes.h"

#define FLUSH_TRIES 3

#define SESSION_ATTRIBUTES                                                                         \
	(TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT | TPMA_SESSION_CONTINUESESSION)

/*
 * The drivers that may be loaded, by the name of the library: the loader would also take
 * paths to any shared object.
 */
static const struct driver {
	const char *name;
	const char *library;
	const char *must_start; /* what its configuration begins with */
	bool may_be_bare;
	bool has_manager;
} drivers[] = {
	{"device", "libtss2-tcti-device.so.0", "/", false, false},
	{"tabrmd", "libtss2-tcti-tabrmd.so.0", "", true, true},
	{"swtpm", "libtss2-tcti-swtpm.so.0", "path=/", false, false},
};

#define DRIVERS (sizeof drivers / sizeof *drivers)

enum mortise_status tpm2_fail(struct tpm2 *tpm, enum token_fault fault, const char *detail)
{
	tpm->failure->fault = fault;
	snprintf(tpm->failure->detail, sizeof tpm->failure->detail, "%s", detail);
	return MORTISE_HARDWARE;
}

enum mortise_status tpm2_check(
	struct tpm2 *tpm, TSS2_RC rc, const char *what, enum token_fault refusal)
{
	char detail[sizeof tpm->failure->detail];

	if (rc == TSS2_RC_SUCCESS)
		return MORTISE_OK;
	snprintf(detail, sizeof detail, "%s: %s", what, Tss2_RC_Decode(rc));
	return tpm2_fail(tpm, tpm2_fault_of(rc, refusal), detail);
}

/* configuration points behind the colon, or is NULL without one. */
static const struct driver *find_driver(const char *tcti, const char **out_configuration)
{
	size_t name_size = strcspn(tcti, ":");
	const char *configuration = tcti[name_size] == ':' ? tcti + name_size + 1 : NULL;

	for (size_t i = 0; i < DRIVERS; i++) {
		const struct driver *driver = &drivers[i];

		if (strlen(driver->name) != name_size ||
			strncmp(tcti, driver->name, name_size) != 0)
			continue;
		if (configuration == NULL ? !driver->may_be_bare
					  : strncmp(configuration, driver->must_start,
						    strlen(driver->must_start)) != 0)
			return NULL;
		*out_configuration = configuration;
		return driver;
	}
	return NULL;
}

/* The kernel's /dev/tpmrm* manages resources, /dev/tpm* does not. */
static bool is_managed_device(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL && strncmp(slash, "/tpmrm", 6) == 0;
}

/* The library says "IO failure" to all; whether the file is there and ours is what helps. */
static enum mortise_status absent(struct tpm2 *tpm, const char *configuration)
{
	const char *path = configuration == NULL ? NULL : strchr(configuration, '/');
	const char *reason = "cannot connect";
	char detail[sizeof tpm->failure->detail];

	if (path != NULL && access(path, R_OK | W_OK) != 0)
		reason = strerror(errno);
	snprintf(detail, sizeof detail, "%.200s: %s", tpm->options->tcti, reason);
	return tpm2_fail(tpm, TOKEN_FAULT_ABSENT, detail);
}

static enum mortise_status load_driver(struct tpm2 *tpm)
{
	const char *configuration = NULL;
	const struct driver *driver = find_driver(tpm->options->tcti, &configuration);

	if (driver == NULL)
		return tpm2_fail(tpm, TOKEN_FAULT_UNSUPPORTED,
			"tcti must be device:/PATH, tabrmd or swtpm:path=/PATH");
	/* A comma would begin another key: a host, a port. */
	if (strcmp(driver->name, "swtpm") == 0 && strchr(configuration, ',') != NULL)
		return tpm2_fail(tpm, TOKEN_FAULT_UNSUPPORTED, "swtpm: one path= and nothing else");
	tpm->has_manager = driver->has_manager || (strcmp(driver->name, "device") == 0 &&
							  is_managed_device(configuration));
	if (Tss2_TctiLdr_Initialize_Ex(driver->library, configuration, &tpm->tcti) !=
		TSS2_RC_SUCCESS) {
		tpm->tcti = NULL; /* tpm2-tss 4.1 leaves one that is none */
		return absent(tpm, configuration);
	}
	return MORTISE_OK;
}

static uint32_t load_be32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* One TPM2_FlushContext (TPM 2.0 Part 3, 28.4). */
static TSS2_RC send_flush(TSS2_TCTI_CONTEXT *tcti, TPM2_HANDLE handle)
{
	const uint8_t command[] = {0x80, 0x01, 0, 0, 0, 14, 0, 0, 0x01, 0x65,
		(uint8_t)(handle >> 24), (uint8_t)(handle >> 16), (uint8_t)(handle >> 8),
		(uint8_t)handle};
	uint8_t response[TPM2_MAX_RESPONSE_SIZE];
	size_t size = sizeof response;
	TSS2_RC rc = Tss2_Tcti_Transmit(tcti, sizeof command, command);

	if (rc == TSS2_RC_SUCCESS)
		rc = Tss2_Tcti_Receive(tcti, &size, response, TSS2_TCTI_TIMEOUT_BLOCK);
	if (rc != TSS2_RC_SUCCESS)
		return rc;
	return size >= 10 ? load_be32(response + 6) : TSS2_TCTI_RC_MALFORMED_RESPONSE;
}

/*
 * Below ESYS, because that refuses to work after a malformed answer, and because it would
 * read a predecessor's object first. The note stays until the TPM says done, or no such handle.
 */
static void flush(struct tpm2 *tpm, TPM2_HANDLE handle)
{
	for (int i = 0; i < FLUSH_TRIES; i++) {
		TSS2_RC rc = send_flush(tpm->tcti, handle);

		if (tpm2_fault_of(rc, TOKEN_FAULT_NONE) == TOKEN_FAULT_NONE) {
			tpm2_notes_remove(tpm->options->notes_fd, handle);
			return;
		}
	}
}

static void flush_predecessors(struct tpm2 *tpm)
{
	TPM2_HANDLE handles[TPM2_NOTES_MAX];
	size_t count = tpm2_notes_read(tpm->options->notes_fd, handles);

	for (size_t i = 0; i < count; i++)
		flush(tpm, handles[i]);
}

enum mortise_status tpm2_connect(
	const struct token_options *options, struct token_failure *failure, struct tpm2 *tpm)
{
	*tpm = (struct tpm2){
		.options = options,
		.failure = failure,
		.srk = ESYS_TR_NONE,
		.session = ESYS_TR_NONE,
	};
	TRY(load_driver(tpm));
	if (!tpm->has_manager)
		flush_predecessors(tpm);
	return tpm2_check(
		tpm, Esys_Initialize(&tpm->esys, tpm->tcti, NULL), "ESYS", TOKEN_FAULT_OTHER);
}

void tpm2_disconnect(struct tpm2 *tpm)
{
	while (tpm->open_count > 0)
		flush(tpm, tpm->open[--tpm->open_count]);
	if (tpm->esys != NULL)
		Esys_Finalize(&tpm->esys);
	if (tpm->tcti != NULL)
		Tss2_TctiLdr_Finalize(&tpm->tcti);
}

enum mortise_status tpm2_track(struct tpm2 *tpm, ESYS_TR object)
{
	TPM2_HANDLE handle;

	TRY(tpm2_check(tpm, Esys_TR_GetTpmHandle(tpm->esys, object, &handle), "handle",
		TOKEN_FAULT_OTHER));
	if (tpm->open_count == TPM2_OPEN_MAX)
		return tpm2_fail(tpm, TOKEN_FAULT_OTHER, "too many objects open");
	tpm->open[tpm->open_count++] = handle;
	if (!tpm->has_manager)
		tpm2_notes_add(tpm->options->notes_fd, handle);
	return MORTISE_OK;
}

/* As the name says, of what ESYS keeps in its heap until the object is closed. */
static void forget_auth(struct tpm2 *tpm, ESYS_TR object)
{
	const TPM2B_AUTH zeros = {.size = sizeof zeros.buffer};

	(void)Esys_TR_SetAuth(tpm->esys, object, &zeros);
	(void)Esys_TR_SetAuth(tpm->esys, object, NULL);
}

void tpm2_forget(struct tpm2 *tpm, TPM2_HANDLE handle)
{
	tpm2_notes_remove(tpm->options->notes_fd, handle);
	for (size_t i = 0; i < tpm->open_count; i++) {
		if (tpm->open[i] == handle) {
			tpm->open[i] = tpm->open[--tpm->open_count];
			return;
		}
	}
}

void tpm2_flush(struct tpm2 *tpm, ESYS_TR object)
{
	TPM2_HANDLE handle;

	if (Esys_TR_GetTpmHandle(tpm->esys, object, &handle) != TSS2_RC_SUCCESS)
		return;
	flush(tpm, handle);
	tpm2_forget(tpm, handle);
	forget_auth(tpm, object);
	(void)Esys_TR_Close(tpm->esys, &object);
}

static enum mortise_status start(
	struct tpm2 *tpm, TPM2_SE type, TPMA_SESSION attributes, ESYS_TR *out_session)
{
	const TPMT_SYM_DEF aes = {
		.algorithm = TPM2_ALG_AES,
		.keyBits.aes = 128,
		.mode.aes = TPM2_ALG_CFB,
	};
	ESYS_TR session;

	TRY(tpm2_check(tpm,
		Esys_StartAuthSession(tpm->esys, tpm->srk, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
			ESYS_TR_NONE, NULL, type, &aes, TPM2_ALG_SHA256, &session),
		"StartAuthSession", TOKEN_FAULT_OTHER));
	TRY(tpm2_track(tpm, session));
	TRY(tpm2_check(tpm, Esys_TRSess_SetAttributes(tpm->esys, session, attributes, 0xff),
		"session attributes", TOKEN_FAULT_OTHER));
	*out_session = session;
	return MORTISE_OK;
}

enum mortise_status tpm2_start_session(struct tpm2 *tpm)
{
	return start(tpm, TPM2_SE_HMAC, SESSION_ATTRIBUTES, &tpm->session);
}

ESYS_TR tpm2_session(const struct tpm2 *tpm)
{
	if (tpm->session == ESYS_TR_NONE || Esys_TRSess_SetAttributes(tpm->esys, tpm->session,
						    SESSION_ATTRIBUTES, 0xff) != TSS2_RC_SUCCESS)
		return ESYS_TR_NONE;
	return tpm->session;
}

enum mortise_status tpm2_start_policy(struct tpm2 *tpm, ESYS_TR *out_session)
{
	return start(tpm, TPM2_SE_POLICY, TPMA_SESSION_ENCRYPT, out_session);
}
