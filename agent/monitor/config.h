/* SPDX-License-Identifier: ISC */
/*
 * config: mortised.conf as the monitor reads it.
 * Every value is checked and every default filled in; an unknown section or key is an error
 * with its line. Looks up no names and opens no file but the configuration itself.
 */
#ifndef MORTISE_CONFIG_H
#define MORTISE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "processes.h"
#include "status.h"

#define CONFIG_DEFAULT_PATH "/etc/mortise/mortised.conf"

#define CONFIG_LATER_SIZE  PROCESS_LATER_SIZE
#define CONFIG_HASH_SIZE   PROCESS_HASH_SIZE /* BLAKE2b-256, as `b2sum -l 256` has it */
#define CONFIG_SOCKETS_MAX 15 /* with [agent]'s own and [credentials]: PROCESS_LISTENERS_MAX */

/* A section [socket NAME]. */
struct config_socket {
	char *name;     /* never "main" */
	char *path;     /* absolute; no other socket's */
	char *group;    /* NULL: whoever made it */
	unsigned mode;  /* 0: 0660 with a group, else 0666 */
	unsigned verbs; /* bits of enum verb */
	unsigned line;
};

/* The section [credentials]: the socket for LoadCredential= of systemd's units. */
struct config_credentials {
	bool is_wanted; /* the section is there: the socket is made, unless it is passed */
	char *path;     /* absolute; no other socket's; /run/mortise/credentials.sock */
	unsigned mode;  /* 0600 */
	int wait_ms;    /* while sealed; in seconds in the file; 60,000 */
};

struct config {
	char *socket;               /* absolute; /run/mortise/mortise.sock */
	char *store;                /* absolute directory; /var/lib/mortise */
	char *audit_log;            /* absolute file; /var/log/mortise/audit.log */
	char *user;                 /* NULL: whoever started it */
	char *operators;            /* group; NULL: none */
	char *environment;          /* one path segment; NULL: none */
	char *tcti;                 /* device:/dev/tpmrm0 */
	char *pkcs11_modules;       /* absolute paths, a blank between them; NULL: none */
	char *pkcs11_env;           /* NAME=VALUE words for the modules; NULL: none */
	char *pkcs11_pin_file;      /* absolute; NULL: none */
	char *pcr_signature;        /* absolute file; NULL: where systemd keeps it */
	int hardware_deadline_ms;   /* [tpm2] deadline, in seconds in the file; 30,000 */
	int anchor_window_s;        /* [tpm2] anchor-window; 60 */
	bool audit_sync_always;     /* audit-sync = checkpoint | always */
	bool requires_pidfd;        /* require-pidfd = yes | no */
	bool has_exe_evidence;      /* exe-evidence = yes | no */
	bool has_insecure_memory;   /* insecure-memory = yes | no; only with a TPM in software */
	unsigned deleted_keep_days; /* deleted-keep = 30d | forever; 0: forever */
	struct config_socket sockets[CONFIG_SOCKETS_MAX];
	size_t socket_count;
	struct config_credentials credentials;
	bool has_hash; /* there was a file */
	uint8_t hash[CONFIG_HASH_SIZE];
	char later[CONFIG_LATER_SIZE]; /* of what was read again: keys that wait for a restart */
};

struct config_error {
	char text[512]; /* "/etc/mortise/mortised.conf:3:1: unknown key 'sockt' in [agent]; ..." */
};

/*
 * MORTISE_NOT_FOUND if there is no such file; MORTISE_REJECTED with out_error for what it says,
 * and for a file that others than root and we can write or own; MORTISE_IO with errno if it
 * cannot be read; MORTISE_BUSY without memory.
 */
enum mortise_status config_load(
	const char *path, struct config *out_config, struct config_error *out_error) MUST_USE;

/* From text, for tests and fuzzing; name stands for the file in messages. */
enum mortise_status config_parse(const char *name, const char *text, size_t size,
	struct config *out_config, struct config_error *out_error) MUST_USE;

/*
 * For an agent that runs, and a configuration that was read again: moves from fresh to running what
 * can be taken over as it is (operators, environment, require-pidfd, [tpm2] but for anchor-window,
 * [pkcs11]); fresh gets what was there before and is still to be freed. Sockets, directories, the
 * user, audit-sync and the witness belong to a process from its start on. *out_later: keys that
 * differ and wait for a restart, ", " between them; "" if none do. The hash is that of fresh.
 */
void config_take_over(
	struct config *running, struct config *fresh, char out_later[CONFIG_LATER_SIZE]);

/* Frees the strings and leaves an empty config, on which it may be called again. */
void config_done(struct config *config);

#endif
