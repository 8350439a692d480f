/* SPDX-License-Identifier: ISC */
/*
 * token: hardware that keeps 32 bytes (h) and gives them back, behind two functions.
 * Runs in the sealer only. What a call opens in the hardware may stay open until end(), so that
 * an unseal and its anchor share one session; then nothing is left behind but a persistent SRK
 * and, if there is an anchor, its counter.
 * Knows nothing of the master key: h is one input of the slot key (slots.h).
 */
#ifndef MORTISE_TOKEN_H
#define MORTISE_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "secret.h"
#include "status.h"

#define TOKEN_BLOB_MAX 4096
#define TOKEN_PIN_MAX  64
#define TOKEN_PEM_MAX  2048
#define TOKEN_URI_MAX  1024

/* What went wrong, as far as an operator would act differently; token.c says how. */
enum token_fault {
	TOKEN_FAULT_NONE = 0,
	TOKEN_FAULT_ABSENT,       /* no device, no simulator behind the socket, no token */
	TOKEN_FAULT_BUSY,         /* RETRY, YIELDED, TESTING... until the deadline */
	TOKEN_FAULT_TIMEOUT,      /* did not answer before the deadline (told by the keeper) */
	TOKEN_FAULT_DIED,         /* the sealer died (told by the keeper) */
	TOKEN_FAULT_LOCKOUT,      /* dictionary-attack lockout, PIN locked */
	TOKEN_FAULT_FAILURE_MODE, /* the TPM is in failure mode */
	TOKEN_FAULT_OWNER_AUTH,   /* the owner hierarchy wants a password or is disabled */
	TOKEN_FAULT_NO_SRK,       /* nothing at 0x81000001: the TPM was cleared */
	TOKEN_FAULT_OTHER_SRK,    /* another key at 0x81000001: another TPM, cleared, or planted */
	TOKEN_FAULT_UNFIT_SRK,    /* the key there is not an SRK: not fixed, restricted, decrypt */
	TOKEN_FAULT_REFUSED,      /* it does not accept what was sealed */
	TOKEN_FAULT_FULL,         /* no room for objects or sessions */
	TOKEN_FAULT_MALFORMED,    /* an answer that no TPM or token would give */
	TOKEN_FAULT_UNSUPPORTED,  /* the hardware lacks what is needed, or the kind is unknown */
	TOKEN_FAULT_OTHER,
	TOKEN_FAULT_WRONG_PIN,
	TOKEN_FAULT_NO_PIN,       /* it wants a PIN and was given none */
	TOKEN_FAULT_OTHER_PCRS,   /* PCRs are not what the seal asks for */
	TOKEN_FAULT_NO_SIGNATURE, /* no signature by the PCR key fits the PCRs of now */
	TOKEN_FAULT_NO_COUNTER,   /* the anchor is gone or is another */
	TOKEN_FAULT_OTHER_COUNT,  /* the anchor does not stand where it was expected */
	TOKEN_FAULT_NO_MODULE,    /* the PKCS #11 module is not configured or does not load */
	TOKEN_FAULT_SRK_AUTH,     /* the key at 0x81000001 has a password */
	TOKEN_FAULT_UNFIT_WISH,   /* what was asked for makes no sense: a key, a URI */
	TOKEN_FAULT_NO_MONITOR,   /* nobody makes a sealer: the monitor is stopped (told by the
				     keeper) */
	TOKEN_FAULT_COUNT
};

/* What happened, for a person: "no TPM behind device:/dev/tpmrm0". Never NULL. */
const char *token_fault_text(enum token_fault fault);

/* What is known of a fault, whatever was tried. */
struct token_fault_row {
	const char *text;
	/*
	 * What may mend it in the rest of a boot, without anybody: "the driver is loaded". NULL:
	 * nothing does. The table in docs/hardware.md is this one.
	 */
	const char *passes;
	const char *mend; /* what to do; for some that were tried advice.c knows better */
	bool is_shut;     /* until then the hardware opens and makes nothing */
};
/* Never NULL: anything unknown is TOKEN_FAULT_OTHER. */
const struct token_fault_row *token_fault_row(enum token_fault fault);

/* Can it mend itself? Then it is tried again. */
bool token_fault_is_passing(enum token_fault fault);

struct token_failure {
	enum token_fault fault;
	char detail[256]; /* what the hardware or library said; one printable line */
};

struct token_options {
	const char *tcti;         /* "device:...", "tabrmd:..." or "swtpm:path=..." */
	int deadline_ms;          /* for all of a run */
	int notes_fd;             /* a memfd shared by all sealers of one monitor; -1: none */
	bool has_insecure_memory; /* where memory cannot be locked, go on */

	/* Of [pkcs11], words separated by blanks; each NULL if there is none. */
	const char *pkcs11_modules;  /* absolute paths */
	const char *pkcs11_env;      /* NAME=VALUE */
	const char *pkcs11_pin_file; /* absolute */

	const char *pcr_signature; /* tpm2-pcr-signature.json; NULL: where systemd keeps it */
};

struct token_bytes {
	const uint8_t *bytes;
	size_t size;
};

/* How a seal is to be made; zeros stand for a plain one. What a token lacks it refuses. */
struct token_wish {
	const struct secret *pin;   /* NULL: none; else 1 to TOKEN_PIN_MAX bytes */
	uint32_t pcrs;              /* bit n: PCR n (SHA-256 bank) must stay as it is now */
	struct token_bytes pcr_key; /* PEM; opens under the PCR values that this key has signed */
	const char *uri;            /* a PKCS #11 URI (RFC 7512), without a PIN; NULL: none */
};

struct token_opening {
	struct token_bytes blob; /* from the disk: hostile until the hardware accepts it */
	const struct secret *pin;
};

enum token_anchor_action {
	TOKEN_ANCHOR_DEFINE = 1,    /* a new counter, counted up once; gives place and counter */
	TOKEN_ANCHOR_READ = 2,      /* gives counter */
	TOKEN_ANCHOR_INCREMENT = 3, /* from `expected` and from nothing else; gives counter */
	TOKEN_ANCHOR_REMOVE = 4,
};

/* A monotonic counter in the hardware. */
struct token_anchor {
	enum token_anchor_action action;
	const struct secret *auth; /* KEY_SIZE bytes */
	struct token_bytes place;  /* of all but DEFINE; as untrusted as a blob */
	uint64_t expected;
};

enum token_health_flag {
	TOKEN_HEALTH_OWNER_AUTH = 1,    /* the owner hierarchy has a password */
	TOKEN_HEALTH_OWNER_OFF = 2,     /* the owner hierarchy is disabled */
	TOKEN_HEALTH_LOCKED = 4,        /* no PIN is accepted just now */
	TOKEN_HEALTH_TRIES_LOW = 8,     /* a wrong PIN was given since the last right one */
	TOKEN_HEALTH_LAST_TRY = 16,     /* the next wrong PIN locks it */
	TOKEN_HEALTH_WANTS_PIN = 32,    /* the slot is not opened without one */
	TOKEN_HEALTH_LOCKOUT_AUTH = 64, /* to end a lockout takes a password */
	TOKEN_HEALTH_SRK_COUNTS =
		128,                /* power cuts count as wrong passwords of the SRK (no noDA) */
	TOKEN_HEALTH_UNBOUND = 256, /* the slot opens for whatever is booted */
	TOKEN_HEALTH_FLAGS = (1 << 9) - 1,
};

/* What hardware says of its state; where it counts no tries they are 0. */
struct token_health {
	unsigned flags;
	uint32_t tries_failed, tries_max;
	uint32_t back_s;    /* until one of the tries is given back */
	uint32_t idle_pcrs; /* to which a TPM's slot is sealed, and into which nothing was measured
			     */
};

/* What a call gives; untouched on failure, but for `failure` with MORTISE_HARDWARE. */
struct token_result {
	struct secret *h;
	uint8_t blob[TOKEN_BLOB_MAX]; /* of an enrolment; of DEFINE: the place */
	size_t blob_size;
	char uri[TOKEN_URI_MAX + 1]; /* of a token's enrolment: which one, and by which module */
	uint64_t counter;
	struct token_health health;
	struct token_failure failure;
};

struct token_run {
	struct token_options options;
	void *state; /* the token's, between calls; NULL at first */
};

/* The device behind function pointers, so that tests can fake one. */
struct token {
	const char *kind; /* "tpm2", "pkcs11" */

	/*
	 * Makes h from entropy (32 bytes of the kernel's) mixed with the hardware's own,
	 * seals it, proves that it opens again, and that it doesn't where the wish says so.
	 */
	enum mortise_status (*enrol)(struct token_run *run, const struct token_wish *wish,
		const uint8_t entropy[KEY_SIZE], struct token_result *out_result);

	/* Gives h back. */
	enum mortise_status (*open)(struct token_run *run, const struct token_opening *opening,
		struct token_result *out_result);

	/* Finds what a blob was sealed to, and opens nothing: no PIN is tried. */
	enum mortise_status (*health)(struct token_run *run, const struct token_bytes *blob,
		struct token_result *out_result);

	/* NULL: it has no counters. */
	enum mortise_status (*anchor)(struct token_run *run, const struct token_anchor *anchor,
		struct token_result *out_result);

	/* Closes what is open in the hardware. */
	void (*end)(struct token_run *run);
};

extern const struct token token_tpm2;
extern const struct token token_pkcs11;

#endif
