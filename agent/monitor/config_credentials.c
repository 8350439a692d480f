/* SPDX-License-Identifier: ISC */
/* The section [credentials] of mortised.conf. */
#include <string.h>

#include "config_setting.h"

#define DEFAULT_PATH    "/run/mortise/credentials.sock"
#define DEFAULT_MODE    0600
#define DEFAULT_WAIT_MS 60000 /* systemd itself gives a unit 90 s to start */
#define WAIT_MAX_S      600

/* 0: units fail at once while it is sealed. */
static enum mortise_status read_wait(
	const struct setting *setting, struct config_credentials *credentials)
{
	const char *value = setting->entry->value;
	size_t size = strlen(value);
	int seconds = 0;

	if (size == 0 || size > 3 || strspn(value, "0123456789") != size)
		return config_refuse_value(setting, "seconds from 0 to 600");
	for (size_t i = 0; i < size; i++)
		seconds = 10 * seconds + (value[i] - '0');
	if (seconds > WAIT_MAX_S)
		return config_refuse_value(setting, "seconds from 0 to 600");
	credentials->wait_ms = 1000 * seconds;
	credentials->has_wait = true;
	return MORTISE_OK;
}

enum mortise_status config_credentials_read(const struct setting *setting)
{
	struct config_credentials *credentials = &setting->config->credentials;
	const char *key = setting->entry->key;

	if (strcmp(key, "path") == 0)
		return config_read_socket_path(setting, &credentials->path);
	if (strcmp(key, "mode") == 0)
		return config_read_mode(setting, &credentials->mode);
	if (strcmp(key, "wait") == 0)
		return read_wait(setting, credentials);
	return inifile_refuse(setting->error, setting->entry->line, setting->entry->column,
		"unknown key '%.80s' in [credentials]; expected path, mode or wait", key);
}

enum mortise_status config_credentials_fill(struct config *config)
{
	struct config_credentials *credentials = &config->credentials;

	if (credentials->path == NULL)
		TRY(config_store_text(&credentials->path, DEFAULT_PATH));
	if (credentials->mode == 0)
		credentials->mode = DEFAULT_MODE;
	if (!credentials->has_wait)
		credentials->wait_ms = DEFAULT_WAIT_MS;
	return MORTISE_OK;
}
