/* SPDX-License-Identifier: ISC */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_value.h"
#include "path.h"
#include "processes.h"
#include "verbs.h"

/* ---- [agent] ---- */

#define DAYS_MAX 3650

static enum mortise_status read_days(const struct setting *setting)
{
	const char *value = setting->entry->value;
	unsigned *out_days = setting->field;
	size_t size = strspn(value, "0123456789");
	unsigned days = 0;

	if (strcmp(value, "forever") == 0) {
		*out_days = 0;
		return MORTISE_OK;
	}
	for (size_t i = 0; i < size && size <= 4; i++)
		days = 10 * days + (unsigned)(value[i] - '0');
	if (strcmp(value + size, "d") != 0 || days < 1 || days > DAYS_MAX)
		return config_value_refuse(setting, "days as in 30d, at most 3650d, or forever");
	*out_days = days;
	return MORTISE_OK;
}

static enum mortise_status read_segment(const struct setting *setting)
{
	const char *value = setting->entry->value;

	if (!path_is_valid(value, strlen(value)) || strchr(value, '/'))
		return config_value_refuse(
			setting, "the first segment of a secret's path, such as prod");
	return config_value_store(setting->field, value);
}

static enum mortise_status read_audit_sync(const struct setting *setting)
{
	bool *out_always = setting->field, is_always = strcmp(setting->entry->value, "always") == 0;

	if (!is_always && strcmp(setting->entry->value, "checkpoint") != 0)
		return config_value_refuse(setting, "checkpoint or always");
	*out_always = is_always;
	return MORTISE_OK;
}

/* ---- [tpm2] ---- */

#define TCTI_MAX       1023
#define DEADLINE_MAX_S 600
#define WINDOW_MAX_S   86400

/* A session's bus is none of the agent's: its sealers have no environment to find it by. */
static bool is_bus(const char *words)
{
	static const char name[] = "bus_name=", system_bus[] = "bus_type=system";
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789._-";

	while (*words != '\0') {
		size_t size = strcspn(words, ",");

		if (strncmp(words, name, sizeof name - 1) == 0
				? size == sizeof name - 1 ||
					  strspn(words + sizeof name - 1, letters) !=
						  size - (sizeof name - 1)
				: size != sizeof system_bus - 1 ||
					  strncmp(words, system_bus, size) != 0)
			return false;
		words += size;
		words += *words == ',';
	}
	return true;
}

/*
 * As tpm2-tools write it, but for what would load any library, or reach a TPM over a network. A
 * comma would begin another key of swtpm's: a host, a port.
 */
static bool is_tcti(const char *value)
{
	static const char device[] = "device:", swtpm[] = "swtpm:path=", tabrmd[] = "tabrmd:";

	if (strncmp(value, device, sizeof device - 1) == 0)
		return config_value_is_absolute(value + sizeof device - 1);
	if (strncmp(value, swtpm, sizeof swtpm - 1) == 0)
		return !strchr(value, ',') && config_value_is_absolute(value + sizeof swtpm - 1);
	if (strncmp(value, tabrmd, sizeof tabrmd - 1) == 0)
		return is_bus(value + sizeof tabrmd - 1);
	return strcmp(value, "tabrmd") == 0;
}

static enum mortise_status read_tcti(const struct setting *setting)
{
	const char *value = setting->entry->value;

	if (strlen(value) > TCTI_MAX)
		return config_value_refuse_long(setting, TCTI_MAX);
	if (!is_tcti(value))
		return config_value_refuse(setting,
			"device:/dev/tpmrm0, tabrmd, tabrmd:bus_name=NAME or "
			"swtpm:path=/absolute/path");
	return config_value_store(setting->field, value);
}

static enum mortise_status read_seconds(const struct setting *setting, int least, int most)
{
	const char *value = setting->entry->value;
	size_t size = strlen(value);
	int *out_seconds = setting->field, seconds = 0;
	char expected[64];

	if (size > 0 && size <= 5 && strspn(value, "0123456789") == size)
		for (size_t i = 0; i < size; i++)
			seconds = 10 * seconds + (value[i] - '0');
	else
		seconds = -1;
	snprintf(expected, sizeof expected, "seconds from %d to %d", least, most);
	if (seconds < least || seconds > most)
		return config_value_refuse(setting, expected);
	*out_seconds = seconds;
	return MORTISE_OK;
}

static enum mortise_status read_deadline(const struct setting *setting)
{
	int *out_ms = setting->field;

	TRY(read_seconds(setting, 1, DEADLINE_MAX_S));
	*out_ms *= 1000;
	return MORTISE_OK;
}

static enum mortise_status read_window(const struct setting *setting)
{
	return read_seconds(setting, 1, WINDOW_MAX_S);
}

/* ---- [pkcs11] ---- */

#define MODULES_MAX 8
#define WORDS_MAX   32
#define WORD_SIZE   1024
#define BLANKS      " \t"

typedef bool word_check(const char *word);

/* Blank-separated words that pass the check, at most max; kept with one blank between them. */
static enum mortise_status read_words(
	const struct setting *setting, size_t max, word_check *check, const char *expected)
{
	char kept[INIFILE_LINE_MAX + 1] = "", word[WORD_SIZE];
	const char *at = setting->entry->value;
	size_t count = 0, used = 0;

	while (*(at += strspn(at, BLANKS)) != '\0') {
		size_t size = strcspn(at, BLANKS);

		if (size >= sizeof word || ++count > max || used + size + 1 >= sizeof kept)
			return config_value_refuse(setting, expected);
		memcpy(word, at, size);
		word[size] = '\0';
		if (!check(word))
			return config_value_refuse(setting, expected);
		if (used > 0)
			kept[used++] = ' ';
		memcpy(kept + used, word, size);
		used += size;
		at += size;
	}
	if (count == 0)
		return config_value_refuse(setting, expected);
	kept[used] = '\0';
	return config_value_store(setting->field, kept);
}

static bool is_assignment(const char *word)
{
	static const char letters[] =
		"_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	size_t size = strspn(word, letters);

	return size > 0 && strspn(word, "0123456789") == 0 && word[size] == '=';
}

static enum mortise_status read_modules(const struct setting *setting)
{
	return read_words(setting, MODULES_MAX, config_value_is_absolute,
		"absolute paths of PKCS #11 modules, at most 8, each of at most 1023 bytes, "
		"separated by blanks");
}

static enum mortise_status read_env(const struct setting *setting)
{
	return read_words(setting, WORDS_MAX, is_assignment,
		"NAME=VALUE words, at most 32, each of at most 1023 bytes, separated by blanks");
}

/* ---- [credentials] ---- */

#define WAIT_MAX_S 600

/* 0: units fail at once while it is sealed. */
static enum mortise_status read_wait(const struct setting *setting)
{
	int *out_ms = setting->field;

	TRY(read_seconds(setting, 0, WAIT_MAX_S));
	*out_ms *= 1000;
	return MORTISE_OK;
}

/* ---- [socket NAME] ---- */

#define MAIN_NAME        "main"
#define CREDENTIALS_NAME "credentials"

static bool is_name(const char *name)
{
	static const char letters[] = "._-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz";
	size_t size = strlen(name);

	return size > 0 && size <= PROCESS_NAME_MAX && strspn(name, letters) == size &&
	       strspn(name, "._-") == 0;
}

static enum mortise_status begin_socket(
	struct config *config, const struct inifile_entry *entry, struct inifile_error *error)
{
	if (!is_name(entry->title) || strcmp(entry->title, MAIN_NAME) == 0 ||
		strcmp(entry->title, CREDENTIALS_NAME) == 0)
		return inifile_refuse(error, entry->line, entry->column,
			"expected [socket NAME], a NAME of 1 to %d letters, digits and . _ - other "
			"than main, which is [agent]'s own, and credentials, which is a section",
			PROCESS_NAME_MAX);
	if (config->socket_count == CONFIG_SOCKETS_MAX)
		return inifile_refuse(error, entry->line, entry->column,
			"at most %d sections [socket NAME]", CONFIG_SOCKETS_MAX);
	struct config_socket *socket = &config->sockets[config->socket_count];
	*socket = (struct config_socket){.line = entry->line};
	TRY(config_value_store(&socket->name, entry->title));
	config->socket_count++;
	return MORTISE_OK;
}

static enum mortise_status read_verbs(const struct setting *setting)
{
	const char *at = setting->entry->value;
	unsigned *out_verbs = setting->field, bits = 0;

	while (*(at += strspn(at, " \t")) != '\0') {
		size_t size = strcspn(at, " \t");
		unsigned bit = verb_of_word(at, size);
		char words[VERB_WORDS_SIZE], expected[VERB_WORDS_SIZE + 32];

		if (bit == 0 || (bits & bit) != 0) {
			snprintf(expected, sizeof expected, "verbs, each once: %s",
				verb_words(verbs_all(), "and", words));
			return config_value_refuse(setting, expected);
		}
		bits |= bit;
		at += size;
	}
	if (bits == 0)
		return config_value_refuse(setting, "one verb at least, such as read");
	*out_verbs = bits;
	return MORTISE_OK;
}

static bool is_taken(const struct config *config, size_t index)
{
	const char *path = config->sockets[index].path;

	if (strcmp(path, config->socket) == 0 || strcmp(path, config->credentials.path) == 0)
		return true;
	for (size_t i = 0; i < index; i++)
		if (strcmp(path, config->sockets[i].path) == 0)
			return true;
	return false;
}

static enum mortise_status check_sockets(
	const struct config *config, struct inifile_error *out_error)
{
	for (size_t i = 0; i < config->socket_count; i++) {
		const struct config_socket *socket = &config->sockets[i];

		if (!socket->path || socket->verbs == 0)
			return inifile_refuse(out_error, socket->line, 1, "[socket %s] needs %s",
				socket->name,
				!socket->path ? "path" : "verbs, such as: verbs = read list");
		if (is_taken(config, i))
			return inifile_refuse(out_error, socket->line, 1,
				"[socket %s]: another socket has this path already", socket->name);
	}
	if (strcmp(config->socket, config->credentials.path) == 0)
		return inifile_refuse(
			out_error, 0, 0, "[credentials]: path is that of [agent]'s socket");
	return MORTISE_OK;
}

/* ---- all of them ---- */

/*
 * A key: who reads it, where it is kept, and what it is where the file does not say, in the file's
 * words. A key of [socket NAME] is kept in its struct config_socket.
 */
static const struct row {
	const char *section, *key;
	config_value_reader *read;
	size_t at, size; /* 0: a text, which is the config's own */
	const char *otherwise;
	bool waits; /* for a restart, if it is changed */
} rows[] = {
#define TEXT(member)   offsetof(struct config, member), 0
#define NUMBER(member) offsetof(struct config, member), sizeof(((struct config *)0)->member)
#define OF_SOCKET(member)                                                                          \
	offsetof(struct config_socket, member), sizeof(((struct config_socket *)0)->member)
	{"agent", "socket", config_value_socket_path, TEXT(socket), "/run/mortise/mortise.sock",
		true},
	{"agent", "store", config_value_file_path, TEXT(store), "/var/lib/mortise", true},
	{"agent", "audit-log", config_value_file_path, TEXT(audit_log),
		"/var/log/mortise/audit.log", true},
	{"agent", "user", config_value_account, TEXT(user), NULL, true},
	{"agent", "operators", config_value_account, TEXT(operators), NULL, false},
	{"agent", "environment", read_segment, TEXT(environment), NULL, false},
	{"agent", "audit-sync", read_audit_sync, NUMBER(audit_sync_always), "checkpoint", true},
	{"agent", "require-pidfd", config_value_switch, NUMBER(requires_pidfd), "no", false},
	{"agent", "exe-evidence", config_value_switch, NUMBER(has_exe_evidence), "no", true},
	{"agent", "insecure-memory", config_value_switch, NUMBER(has_insecure_memory), "no", true},
	{"agent", "deleted-keep", read_days, NUMBER(deleted_keep_days), "30d", true},
	{"tpm2", "tcti", read_tcti, TEXT(tcti), "device:/dev/tpmrm0", false},
	{"tpm2", "deadline", read_deadline, NUMBER(hardware_deadline_ms), "30", false},
	{"tpm2", "anchor-window", read_window, NUMBER(anchor_window_s), "60", true},
	{"tpm2", "pcr-signature", config_value_file_path, TEXT(pcr_signature), NULL, false},
	{"pkcs11", "modules", read_modules, TEXT(pkcs11_modules), NULL, false},
	{"pkcs11", "env", read_env, TEXT(pkcs11_env), NULL, false},
	{"pkcs11", "pin-file", config_value_file_path, TEXT(pkcs11_pin_file), NULL, false},
	{"credentials", "path", config_value_socket_path, TEXT(credentials.path),
		"/run/mortise/credentials.sock", true},
	{"credentials", "mode", config_value_mode, NUMBER(credentials.mode), "0600", true},
	/* systemd itself gives a unit 90 s to start */
	{"credentials", "wait", read_wait, NUMBER(credentials.wait_ms), "60", true},
	{"socket", "path", config_value_socket_path, offsetof(struct config_socket, path), 0, NULL,
		true},
	{"socket", "mode", config_value_mode, OF_SOCKET(mode), NULL, true},
	{"socket", "group", config_value_account, offsetof(struct config_socket, group), 0, NULL,
		true},
	{"socket", "verbs", read_verbs, OF_SOCKET(verbs), NULL, true},
};

#define ROWS_END (rows + sizeof rows / sizeof rows[0])

static bool is_in(const struct row *row, const char *section)
{
	return strcmp(row->section, section) == 0;
}

static bool is_of_socket(const struct row *row)
{
	return is_in(row, "socket");
}

/* owner: the config, or one of its sockets. */
static void *field_of(const struct row *row, void *owner)
{
	return (char *)owner + row->at;
}

static char **text_of(const struct row *row, void *owner)
{
	return field_of(row, owner);
}

static enum mortise_status check_section(
	struct config *config, const struct inifile_entry *entry, struct inifile_error *error)
{
	bool is_known = false;

	if (strcmp(entry->section, "socket") == 0)
		return begin_socket(config, entry, error);
	for (const struct row *row = rows; row < ROWS_END; row++)
		is_known |= is_in(row, entry->section);
	if (!is_known || *entry->title != '\0')
		return inifile_refuse(error, entry->line, entry->column,
			"unknown section '%.60s%s%.60s'; expected [agent], [tpm2], [pkcs11], "
			"[credentials] or [socket NAME]",
			entry->section, *entry->title != '\0' ? " " : "", entry->title);
	if (strcmp(entry->section, "credentials") == 0)
		config->credentials.is_wanted = true;
	return MORTISE_OK;
}

static enum mortise_status refuse_key(
	const struct inifile_entry *entry, struct inifile_error *error)
{
	char expected[200] = "";
	size_t used = 0, left = 0;

	for (const struct row *row = rows; row < ROWS_END; row++)
		left += is_in(row, entry->section);
	for (const struct row *row = rows; row < ROWS_END && used < sizeof expected; row++)
		if (is_in(row, entry->section)) {
			left--;
			used += (size_t)snprintf(expected + used, sizeof expected - used, "%s%s",
				row->key,
				left > 1    ? ", "
				: left == 1 ? " or "
					    : "");
		}
	return inifile_refuse(error, entry->line, entry->column,
		"unknown key '%.80s' in [%s]; expected %s", entry->key, entry->section, expected);
}

static enum mortise_status visit(
	void *context, const struct inifile_entry *entry, struct inifile_error *error)
{
	struct config *config = context;

	if (!entry->key)
		return check_section(config, entry, error);
	for (const struct row *row = rows; row < ROWS_END; row++) {
		void *owner = config;

		if (!is_in(row, entry->section) || strcmp(row->key, entry->key) != 0)
			continue;
		if (is_of_socket(row))
			owner = &config->sockets[config->socket_count - 1];
		return row->read(&(struct setting){entry, error, field_of(row, owner)});
	}
	return refuse_key(entry, error);
}

/* Before the file, which says otherwise. */
static enum mortise_status fill_defaults(struct config *config)
{
	for (const struct row *row = rows; row < ROWS_END; row++) {
		struct inifile_entry entry = {
			.section = row->section, .key = row->key, .value = row->otherwise};
		struct inifile_error error;

		if (row->otherwise)
			TRY(row->read(&(struct setting){&entry, &error, field_of(row, config)}));
	}
	return MORTISE_OK;
}

/* So that an agent which guards anything cannot have it, by a slip or a copied file. */
static enum mortise_status check_memory(
	const struct config *config, struct inifile_error *out_error)
{
	if (!config->has_insecure_memory || strncmp(config->tcti, "swtpm:", 6) == 0)
		return MORTISE_OK;
	return inifile_refuse(out_error, 0, 0,
		"insecure-memory = yes is for throw-away agents, with tcti = swtpm:path=... in "
		"[tpm2]; else raise RLIMIT_MEMLOCK");
}

enum mortise_status config_parse(const char *name, const char *text, size_t size,
	struct config *out_config, struct config_error *out_error)
{
	CLEANUP(config_done) struct config config = {0};
	struct inifile_error error = {0};
	enum mortise_status status = fill_defaults(&config);

	if (status == MORTISE_OK)
		status = inifile_read(text, size, visit, &config, &error);
	if (status == MORTISE_OK)
		status = check_sockets(&config, &error);
	if (status == MORTISE_OK)
		status = check_memory(&config, &error);
	if (status == MORTISE_REJECTED)
		inifile_describe(name, &error, out_error->text, sizeof out_error->text);
	TRY(status);
	*out_config = config;
	config = (struct config){0};
	return MORTISE_OK;
}

void config_done(struct config *config)
{
	for (const struct row *row = rows; row < ROWS_END; row++)
		if (!is_of_socket(row) && row->size == 0)
			free(*text_of(row, config));
	for (size_t i = 0; i < config->socket_count; i++) {
		free(config->sockets[i].name);
		free(config->sockets[i].path);
		free(config->sockets[i].group);
	}
	*config = (struct config){0};
}

/* ---- read again, under an agent that runs ---- */

static bool is_same_text(const char *one, const char *other)
{
	return !one || !other ? one == other : strcmp(one, other) == 0;
}

static bool is_same(const struct row *row, void *one, void *other)
{
	if (row->size == 0)
		return is_same_text(*text_of(row, one), *text_of(row, other));
	return memcmp(field_of(row, one), field_of(row, other), row->size) == 0;
}

static bool has_same_sockets(struct config *one, struct config *other)
{
	bool is_as_before = one->socket_count == other->socket_count;

	for (size_t i = 0; is_as_before && i < one->socket_count; i++) {
		is_as_before = is_same_text(one->sockets[i].name, other->sockets[i].name);
		for (const struct row *row = rows; row < ROWS_END; row++)
			is_as_before &= !is_of_socket(row) ||
					is_same(row, &one->sockets[i], &other->sockets[i]);
	}
	return is_as_before;
}

static void swap(const struct row *row, struct config *one, struct config *other)
{
	unsigned char kept[sizeof(char *)];
	size_t size = row->size == 0 ? sizeof kept : row->size;

	memcpy(kept, field_of(row, one), size);
	memcpy(field_of(row, one), field_of(row, other), size);
	memcpy(field_of(row, other), kept, size);
}

/* All names together fit. */
static void add(const char *name, char later[CONFIG_LATER_SIZE])
{
	size_t used = strlen(later);

	snprintf(later + used, CONFIG_LATER_SIZE - used, "%s%s", used > 0 ? ", " : "", name);
}

void config_take_over(
	struct config *running, struct config *fresh, char out_later[CONFIG_LATER_SIZE])
{
	bool has_same_credentials = true;

	out_later[0] = '\0';
	running->has_hash = fresh->has_hash;
	memcpy(running->hash, fresh->hash, sizeof running->hash);
	for (const struct row *row = rows; row < ROWS_END; row++) {
		if (is_of_socket(row))
			continue;
		if (!row->waits)
			swap(row, running, fresh);
		else if (is_in(row, "credentials"))
			has_same_credentials &= is_same(row, running, fresh);
		else if (!is_same(row, running, fresh))
			add(row->key, out_later);
	}
	if (!has_same_credentials)
		add("[credentials]", out_later);
	if (!has_same_sockets(running, fresh))
		add("[socket NAME]", out_later);
	memcpy(running->later, out_later, sizeof running->later);
}

/* ---- the file: who may write it, and its text ---- */

#define FILE_SIZE_MAX 1048576

static enum mortise_status refuse_file(
	const char *path, const char *fault, struct config_error *out_error)
{
	struct inifile_error error;
	enum mortise_status status = inifile_refuse(&error, 0, 0, "%s", fault);

	inifile_describe(path, &error, out_error->text, sizeof out_error->text);
	return status;
}

/* Whoever may write this file chooses the store, the socket and the hardware. */
static enum mortise_status check_file(int fd, const char *path, struct config_error *out_error)
{
	struct stat info;

	if (fstat(fd, &info) != 0)
		return MORTISE_IO;
	if (!S_ISREG(info.st_mode))
		return refuse_file(path, "expected a regular file", out_error);
	if (info.st_uid != 0 && info.st_uid != geteuid())
		return refuse_file(path,
			"expected root or the agent's own user as the file's owner; run: chown "
			"root",
			out_error);
	if (info.st_mode & (S_IWGRP | S_IWOTH))
		return refuse_file(path,
			"others than the owner may write this file; run: chmod go-w", out_error);
	return MORTISE_OK;
}

/* Up to size bytes, fewer only at the end of the file. */
static enum mortise_status read_all(int fd, char *buffer, size_t size, size_t *out_size)
{
	size_t filled = 0;

	while (filled < size) {
		ssize_t got = read(fd, buffer + filled, size - filled);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return MORTISE_IO;
		if (got == 0)
			break;
		filled += (size_t)got;
	}
	*out_size = filled;
	return MORTISE_OK;
}

static void close_file(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

static void free_text(char **text)
{
	free(*text);
}

enum mortise_status config_load(
	const char *path, struct config *out_config, struct config_error *out_error)
{
	CLEANUP(close_file) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	CLEANUP(free_text) char *text = NULL;
	size_t size;

	if (fd < 0)
		return errno == ENOENT ? MORTISE_NOT_FOUND : MORTISE_IO;
	TRY(check_file(fd, path, out_error));
	text = malloc(FILE_SIZE_MAX + 1);
	if (!text)
		return MORTISE_BUSY;
	TRY(read_all(fd, text, FILE_SIZE_MAX + 1, &size));
	if (size > FILE_SIZE_MAX)
		return refuse_file(path, "a configuration is at most 1 MiB", out_error);
	TRY(config_parse(path, text, size, out_config, out_error));
	out_config->has_hash = true;
	crypto_generichash(
		out_config->hash, sizeof out_config->hash, (unsigned char *)text, size, NULL, 0);
	return MORTISE_OK;
}
