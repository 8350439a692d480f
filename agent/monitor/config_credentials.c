/* SPDX-License-Identifier: ISC */
/* The section [credentials] of mortised.conf. */
#include <string.h>

#include "config_setting.h"

#define DEFAULT_PATH    "/run/mortise/credentials.sock"
#define DEFAULT_MODE    0600
#define DEFAULT_WAIT_MS 60000 /* systemd itself gives a unit 90 s to start */

enum mortise_status config_credentials_read(const struct setting *setting)
{
	struct config_credentials *credentials = &setting->config->credentials;
	const char *key = setting->entry->key;

	if (strcmp(key, "path") == 0)
		return config_read_socket_path(setting, &credentials->path);
	if (strcmp(key, "mode") == 0)
		return config_read_mode(setting, &credentials->mode);
	if (strcmp(key, "wait") == 0) {
		TRY(config_read_seconds(setting, 0, &credentials->wait_ms));
		credentials->has_wait = true;
		return MORTISE_OK;
	}
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
