/* SPDX-License-Identifier: ISC */
#include "config.h"

#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "config_setting.h"
#include "path.h"

#define SOCKET_PATH_MAX (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)
#define OTHER_PATH_MAX  1023 /* leaves room in PATH_MAX for what is kept below */
#define NAME_MAX_BYTES  255
#define DELETED_KEEP_D  30

enum mortise_status config_refuse_value(const struct setting *setting, const char *expected)
{
	return inifile_refuse(setting->error, setting->entry->line, setting->entry->value_column,
		"expected %s, not '%.80s'", expected, setting->entry->value);
}

enum mortise_status config_refuse_long(const struct setting *setting, size_t most)
{
	return inifile_refuse(setting->error, setting->entry->line, setting->entry->value_column,
		"'%s' has at most %zu bytes, and this %zu", setting->entry->key, most,
		strlen(setting->entry->value));
}

enum mortise_status config_store_text(char **text, const char *value)
{
	char *copy = strdup(value);

	if (copy == NULL)
		return MORTISE_BUSY;
	free(*text);
	*text = copy;
	return MORTISE_OK;
}

bool config_is_absolute(const char *path)
{
	if (*path != '/')
		return false;
	while (*path == '/') {
		size_t size = strcspn(++path, "/");

		if (size == 0 || (size == 1 && path[0] == '.') ||
			(size == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		path += size;
	}
	return true;
}

static enum mortise_status read_path(
	const struct setting *setting, size_t size_max, char **out_path)
{
	const char *value = setting->entry->value;

	if (!config_is_absolute(value))
		return config_refuse_value(
			setting, "an absolute path without '//', '/./', '/../' or a last '/'");
	if (strlen(value) > size_max)
		return config_refuse_long(setting, size_max);
	return config_store_text(out_path, value);
}

enum mortise_status config_read_socket_path(const struct setting *setting, char **out_path)
{
	return read_path(setting, SOCKET_PATH_MAX, out_path);
}

enum mortise_status config_read_file_path(const struct setting *setting, char **out_path)
{
	return read_path(setting, OTHER_PATH_MAX, out_path);
}

static enum mortise_status read_socket(const struct setting *setting)
{
	return config_read_socket_path(setting, &setting->config->socket);
}

static enum mortise_status read_store(const struct setting *setting)
{
	return read_path(setting, OTHER_PATH_MAX, &setting->config->store);
}

static enum mortise_status read_audit_log(const struct setting *setting)
{
	return read_path(setting, OTHER_PATH_MAX, &setting->config->audit_log);
}

enum mortise_status config_read_account(const struct setting *setting, char **out_name)
{
	const char *value = setting->entry->value;
	size_t size = strcspn(value, " \t,:/");

	if (size == 0 || value[size] != '\0')
		return config_refuse_value(setting, "one name");
	if (size > NAME_MAX_BYTES)
		return config_refuse_long(setting, NAME_MAX_BYTES);
	return config_store_text(out_name, value);
}

static enum mortise_status read_user(const struct setting *setting)
{
	return config_read_account(setting, &setting->config->user);
}

static enum mortise_status read_operators(const struct setting *setting)
{
	return config_read_account(setting, &setting->config->operators);
}

static enum mortise_status read_environment(const struct setting *setting)
{
	const char *value = setting->entry->value;

	if (!path_is_valid(value, strlen(value)) || strchr(value, '/') != NULL)
		return config_refuse_value(
			setting, "the first segment of a secret's path, such as prod");
	return config_store_text(&setting->config->environment, value);
}

static enum mortise_status read_audit_sync(const struct setting *setting)
{
	bool is_always = strcmp(setting->entry->value, "always") == 0;

	if (!is_always && strcmp(setting->entry->value, "checkpoint") != 0)
		return config_refuse_value(setting, "checkpoint or always");
	setting->config->audit_sync_always = is_always;
	return MORTISE_OK;
}

static enum mortise_status read_switch(const struct setting *setting, bool *out_switch)
{
	bool is_on = strcmp(setting->entry->value, "yes") == 0;

	if (!is_on && strcmp(setting->entry->value, "no") != 0)
		return config_refuse_value(setting, "yes or no");
	*out_switch = is_on;
	return MORTISE_OK;
}

static enum mortise_status read_require_pidfd(const struct setting *setting)
{
	return read_switch(setting, &setting->config->requires_pidfd);
}

static enum mortise_status read_exe_evidence(const struct setting *setting)
{
	return read_switch(setting, &setting->config->has_exe_evidence);
}

static enum mortise_status read_insecure_memory(const struct setting *setting)
{
	return read_switch(setting, &setting->config->has_insecure_memory);
}

static const char agent_keys[] =
	"socket, store, audit-log, user, operators, environment, audit-sync, require-pidfd, "
	"exe-evidence, insecure-memory or deleted-keep";
static const char tpm2_keys[] = "tcti, deadline, anchor-window or pcr-signature";

static const struct {
	const char *section, *key;
	enum mortise_status (*read)(const struct setting *setting);
} settings[] = {
	{"agent", "socket", read_socket},
	{"agent", "store", read_store},
	{"agent", "audit-log", read_audit_log},
	{"agent", "user", read_user},
	{"agent", "operators", read_operators},
	{"agent", "environment", read_environment},
	{"agent", "audit-sync", read_audit_sync},
	{"agent", "require-pidfd", read_require_pidfd},
	{"agent", "exe-evidence", read_exe_evidence},
	{"agent", "insecure-memory", read_insecure_memory},
	{"agent", "deleted-keep", config_deleted_read},
	{"tpm2", "tcti", config_read_tcti},
	{"tpm2", "deadline", config_read_deadline},
	{"tpm2", "anchor-window", config_read_anchor_window},
	{"tpm2", "pcr-signature", config_read_pcr_signature},
};

static enum mortise_status check_section(const struct setting *setting)
{
	const struct inifile_entry *entry = setting->entry;
	struct inifile_error *error = setting->error;
	bool is_known =
		strcmp(entry->section, "agent") == 0 || strcmp(entry->section, "tpm2") == 0 ||
		strcmp(entry->section, "pkcs11") == 0 || strcmp(entry->section, "credentials") == 0;

	if (strcmp(entry->section, "socket") == 0)
		return config_socket_begin(setting);
	if (!is_known || *entry->title != '\0')
		return inifile_refuse(error, entry->line, entry->column,
			"unknown section '%.60s%s%.60s'; expected [agent], [tpm2], [pkcs11], "
			"[credentials] or [socket NAME]",
			entry->section, *entry->title != '\0' ? " " : "", entry->title);
	if (strcmp(entry->section, "credentials") == 0)
		setting->config->credentials.is_wanted = true;
	return MORTISE_OK;
}

static enum mortise_status visit(
	void *context, const struct inifile_entry *entry, struct inifile_error *error)
{
	struct setting setting = {entry, error, context};

	if (entry->key == NULL)
		return check_section(&setting);
	if (strcmp(entry->section, "socket") == 0)
		return config_socket_read(&setting);
	if (strcmp(entry->section, "pkcs11") == 0)
		return config_pkcs11_read(&setting);
	if (strcmp(entry->section, "credentials") == 0)
		return config_credentials_read(&setting);
	for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
		if (strcmp(entry->section, settings[i].section) == 0 &&
			strcmp(entry->key, settings[i].key) == 0)
			return settings[i].read(&setting);
	return inifile_refuse(error, entry->line, entry->column,
		"unknown key '%.80s' in [%s]; expected %s", entry->key, entry->section,
		strcmp(entry->section, "agent") == 0 ? agent_keys : tpm2_keys);
}

static enum mortise_status fill_defaults(struct config *config)
{
	TRY(config_credentials_fill(config));
	if (config->socket == NULL)
		TRY(config_store_text(&config->socket, "/run/mortise/mortise.sock"));
	if (config->store == NULL)
		TRY(config_store_text(&config->store, "/var/lib/mortise"));
	if (config->audit_log == NULL)
		TRY(config_store_text(&config->audit_log, "/var/log/mortise/audit.log"));
	if (config->tcti == NULL)
		TRY(config_store_text(&config->tcti, "device:/dev/tpmrm0"));
	if (config->hardware_deadline_ms == 0)
		config->hardware_deadline_ms = 30000;
	if (config->anchor_window_s == 0)
		config->anchor_window_s = 60;
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
	CLEANUP(config_done) struct config config = {.deleted_keep_days = DELETED_KEEP_D};
	struct inifile_error error = {0};
	enum mortise_status status = inifile_read(text, size, visit, &config, &error);

	if (status == MORTISE_OK)
		status = fill_defaults(&config);
	if (status == MORTISE_OK)
		status = config_sockets_check(&config, &error);
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
	free(config->credentials.path);
	free(config->socket);
	free(config->store);
	free(config->audit_log);
	free(config->user);
	free(config->operators);
	free(config->environment);
	free(config->tcti);
	free(config->pkcs11_modules);
	free(config->pkcs11_env);
	free(config->pkcs11_pin_file);
	free(config->pcr_signature);
	config_sockets_done(config);
	*config = (struct config){0};
}
