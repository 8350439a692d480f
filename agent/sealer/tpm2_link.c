/* SPDX-License-Identifier: ISC */
#include "tpm2_link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tctildr.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

/* Handles that no mistake in the file may turn into a persistent key or an NV index. */
static bool is_ours(uint32_t handle)
{
	switch (handle >> TPM2_HR_SHIFT) {
	case TPM2_HT_HMAC_SESSION:
	case TPM2_HT_POLICY_SESSION:
	case TPM2_HT_TRANSIENT:
		return true;
	default:
		return false;
	}
}

static void load(int fd, uint32_t slots[TPM2_NOTES_MAX])
{
	memset(slots, 0, TPM2_NOTES_MAX * sizeof *slots);
	if (pread(fd, slots, TPM2_NOTES_MAX * sizeof *slots, 0) < 0)
		memset(slots, 0, TPM2_NOTES_MAX * sizeof *slots);
}

/* A note that can't be written costs a slot in the TPM at worst: no reason to fail. */
static void store(int fd, size_t slot, uint32_t handle)
{
	ssize_t written = pwrite(fd, &handle, sizeof handle, (off_t)(slot * sizeof handle));

	(void)written;
}

static void replace(int fd, uint32_t old, uint32_t new)
{
	uint32_t slots[TPM2_NOTES_MAX];

	load(fd, slots);
	for (size_t i = 0; i < TPM2_NOTES_MAX; i++) {
		if (slots[i] == old) {
			store(fd, i, new);
			return;
		}
	}
}

void tpm2_notes_add(int fd, uint32_t handle)
{
	if (fd >= 0 && is_ours(handle))
		replace(fd, 0, handle);
}

void tpm2_notes_remove(int fd, uint32_t handle)
{
	if (fd >= 0 && handle != 0)
		replace(fd, handle, 0);
}

size_t tpm2_notes_read(int fd, uint32_t out_handles[TPM2_NOTES_MAX])
{
	uint32_t slots[TPM2_NOTES_MAX];
	size_t count = 0;

	if (fd < 0)
		return 0;
	load(fd, slots);
	for (size_t i = 0; i < TPM2_NOTES_MAX; i++) {
		if (is_ours(slots[i]))
			out_handles[count++] = slots[i];
	}
	return count;
}

/*
 * Response codes: TPM 2.0 Part 2, 6.6. Those with bit 7 (format one) carry the number of the
 * handle, session or parameter, which does not matter here.
 */

#define FORMAT_ONE_MASK (TPM2_RC_FMT1 | 0x3f) /* without the number */

static const struct {
	TSS2_RC rc;
	enum token_fault fault;
} tpm_faults[] = {
	{TPM2_RC_RETRY, TOKEN_FAULT_BUSY},
	{TPM2_RC_YIELDED, TOKEN_FAULT_BUSY},
	{TPM2_RC_TESTING, TOKEN_FAULT_BUSY},
	{TPM2_RC_CANCELED, TOKEN_FAULT_BUSY},
	{TPM2_RC_NV_RATE, TOKEN_FAULT_BUSY},
	{TPM2_RC_NV_UNAVAILABLE, TOKEN_FAULT_BUSY},
	{TPM2_RC_PCR_CHANGED, TOKEN_FAULT_BUSY},
	/* Another program flushed our session, or persisted an SRK before us. */
	{TPM2_RC_REFERENCE_H0, TOKEN_FAULT_BUSY},
	{TPM2_RC_REFERENCE_H1, TOKEN_FAULT_BUSY},
	{TPM2_RC_REFERENCE_S0, TOKEN_FAULT_BUSY},
	{TPM2_RC_NV_DEFINED, TOKEN_FAULT_BUSY},
	{TPM2_RC_LOCKOUT, TOKEN_FAULT_LOCKOUT},
	{TPM2_RC_FAILURE, TOKEN_FAULT_FAILURE_MODE},
	{TPM2_RC_CONTEXT_GAP, TOKEN_FAULT_FULL},
	{TPM2_RC_OBJECT_MEMORY, TOKEN_FAULT_FULL},
	{TPM2_RC_SESSION_MEMORY, TOKEN_FAULT_FULL},
	{TPM2_RC_MEMORY, TOKEN_FAULT_FULL},
	{TPM2_RC_SESSION_HANDLES, TOKEN_FAULT_FULL},
	{TPM2_RC_OBJECT_HANDLES, TOKEN_FAULT_FULL},
	{TPM2_RC_NV_SPACE, TOKEN_FAULT_FULL},
	{TPM2_RC_COMMAND_CODE, TOKEN_FAULT_UNSUPPORTED},
	{TPM2_RC_INITIALIZE, TOKEN_FAULT_OTHER},
};

static bool is_from_tpm(TSS2_RC rc)
{
	TSS2_RC layer = rc & TSS2_RC_LAYER_MASK;

	return layer == TSS2_TPM_RC_LAYER || layer == TSS2_RESMGR_TPM_RC_LAYER;
}

static enum token_fault tpm_fault(TSS2_RC rc, enum token_fault refusal)
{
	for (size_t i = 0; i < sizeof tpm_faults / sizeof *tpm_faults; i++) {
		if (tpm_faults[i].rc == rc)
			return tpm_faults[i].fault;
	}
	return refusal;
}

/* The codes that the layers above the TPM share. */
static enum token_fault library_fault(TSS2_RC rc)
{
	switch (rc & ~TSS2_RC_LAYER_MASK) {
	case TSS2_BASE_RC_MALFORMED_RESPONSE:
	case TSS2_BASE_RC_INSUFFICIENT_RESPONSE:
	case TSS2_BASE_RC_INSUFFICIENT_BUFFER:
	case TSS2_BASE_RC_RSP_AUTH_FAILED:
	case TSS2_BASE_RC_BAD_SIZE:
		return TOKEN_FAULT_MALFORMED;
	case TSS2_BASE_RC_NO_CONNECTION:
	case TSS2_BASE_RC_IO_ERROR:
		return TOKEN_FAULT_ABSENT;
	default:
		return TOKEN_FAULT_OTHER;
	}
}

enum token_fault tpm2_fault_of(TSS2_RC rc, enum token_fault refusal)
{
	enum token_fault fault;

	if (rc == TSS2_RC_SUCCESS)
		return TOKEN_FAULT_NONE;
	if (is_from_tpm(rc))
		return tpm_fault(rc & ~TSS2_RC_LAYER_MASK, refusal);
	fault = library_fault(rc);
	/* What the unmarshalling of an answer does not like came from the TPM. */
	if (fault == TOKEN_FAULT_OTHER && (rc & TSS2_RC_LAYER_MASK) == TSS2_MU_RC_LAYER)
		return TOKEN_FAULT_MALFORMED;
	return fault;
}

bool tpm2_fault_is(TSS2_RC rc, TSS2_RC code)
{
	if (!is_from_tpm(rc))
		return false;
	rc &= ~TSS2_RC_LAYER_MASK;
	return ((rc & TPM2_RC_FMT1) != 0 ? rc & FORMAT_ONE_MASK : rc) == code;
}

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
		if (!configuration ? !driver->may_be_bare
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

	return slash && strncmp(slash, "/tpmrm", 6) == 0;
}

/* The library says "IO failure" to all; whether the file is there and ours is what helps. */
static enum mortise_status absent(struct tpm2 *tpm, const char *configuration)
{
	const char *path = !configuration ? NULL : strchr(configuration, '/');
	const char *reason = "cannot connect";
	char detail[sizeof tpm->failure->detail];

	if (path && access(path, R_OK | W_OK) != 0)
		reason = strerror(errno);
	snprintf(detail, sizeof detail, "%.200s: %s", tpm->options->tcti, reason);
	return tpm2_fail(tpm, TOKEN_FAULT_ABSENT, detail);
}

static enum mortise_status load_driver(struct tpm2 *tpm)
{
	const char *configuration = NULL;
	const struct driver *driver = find_driver(tpm->options->tcti, &configuration);

	if (!driver)
		return tpm2_fail(tpm, TOKEN_FAULT_UNSUPPORTED,
			"tcti must be device:/PATH, tabrmd or swtpm:path=/PATH");
	/* A comma would begin another key: a host, a port. */
	if (strcmp(driver->name, "swtpm") == 0 && strchr(configuration, ','))
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
	if (tpm->esys)
		Esys_Finalize(&tpm->esys);
	if (tpm->tcti)
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

#define PAUSE_FIRST_MS 10
#define PAUSE_MAX_MS   500

struct state {
	struct tpm2 tpm;
	bool is_connected;
	int64_t deadline_ms;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void pause_for(int pause_ms)
{
	struct timespec pause = {.tv_nsec = (long)pause_ms * 1000000};

	nanosleep(&pause, NULL);
}

static enum mortise_status need_state(struct token_run *run)
{
	struct state *state = run->state;

	if (state)
		return MORTISE_OK;
	state = calloc(1, sizeof *state);
	if (!state)
		return MORTISE_BUSY;
	state->deadline_ms = now_ms() + run->options.deadline_ms;
	run->state = state;
	return MORTISE_OK;
}

static void drop_connection(struct state *state)
{
	if (state->is_connected)
		tpm2_disconnect(&state->tpm);
	state->is_connected = false;
}

static enum mortise_status attempt_once(struct token_run *run, tpm2_attempt *attempt, void *context,
	struct token_failure *failure, bool *out_is_final)
{
	struct state *state = run->state;
	enum mortise_status status = MORTISE_OK;

	if (!state->is_connected) {
		state->is_connected = true;
		status = tpm2_connect(&run->options, failure, &state->tpm);
	}
	state->tpm.failure = failure;
	if (status == MORTISE_OK)
		status = attempt(&state->tpm, context);
	*out_is_final = state->tpm.is_final;
	state->tpm.failure = NULL;
	return status;
}

/* Room and time come back by themselves; an absent device or a lockout do not so soon. */
static bool is_worth_a_pause(enum token_fault fault)
{
	return fault == TOKEN_FAULT_BUSY || fault == TOKEN_FAULT_FULL;
}

/*
 * Begins anew each time, connection and sessions included: after a retry code one does not
 * know what the TPM still holds. ESYS has itself sent the command five times by then.
 */
enum mortise_status tpm2_run_do(struct token_run *run, tpm2_attempt *attempt, void *context,
	struct token_failure *out_failure)
{
	int pause_ms = PAUSE_FIRST_MS;
	struct state *state;

	TRY(need_state(run));
	state = run->state;
	for (;;) {
		struct token_failure failure = {0};
		bool is_final = false;
		enum mortise_status status =
			attempt_once(run, attempt, context, &failure, &is_final);

		if (status == MORTISE_OK)
			return MORTISE_OK;
		drop_connection(state);
		if (is_final || !is_worth_a_pause(failure.fault) ||
			now_ms() + pause_ms >= state->deadline_ms) {
			*out_failure = failure;
			return status;
		}
		pause_for(pause_ms);
		pause_ms = pause_ms * 2 < PAUSE_MAX_MS ? pause_ms * 2 : PAUSE_MAX_MS;
	}
}

void tpm2_run_end(struct token_run *run)
{
	if (run->state)
		drop_connection(run->state);
	free(run->state);
	run->state = NULL;
}
