/* SPDX-License-Identifier: ISC */
/* What stands in [tpm2]. */
#include <string.h>

#include "config.h"
#include "config_setting.h"

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
		return config_is_absolute(value + sizeof device - 1);
	if (strncmp(value, swtpm, sizeof swtpm - 1) == 0)
		return strchr(value, ',') == NULL && config_is_absolute(value + sizeof swtpm - 1);
	if (strncmp(value, tabrmd, sizeof tabrmd - 1) == 0)
		return is_bus(value + sizeof tabrmd - 1);
	return strcmp(value, "tabrmd") == 0;
}

enum mortise_status config_read_tcti(const struct setting *setting)
{
	const char *value = setting->entry->value;

	if (strlen(value) > TCTI_MAX)
		return config_refuse_long(setting, TCTI_MAX);
	if (!is_tcti(value))
		return config_refuse_value(setting,
			"device:/dev/tpmrm0, tabrmd, tabrmd:bus_name=NAME or "
			"swtpm:path=/absolute/path");
	return config_store_text(&setting->config->tcti, value);
}

enum mortise_status config_read_pcr_signature(const struct setting *setting)
{
	return config_read_file_path(setting, &setting->config->pcr_signature);
}

static enum mortise_status read_seconds(
	const struct setting *setting, int most, const char *expected, int *out_seconds)
{
	const char *value = setting->entry->value;
	size_t size = strlen(value);
	int seconds = 0;

	if (size <= 5 && strspn(value, "0123456789") == size)
		for (size_t i = 0; i < size; i++)
			seconds = 10 * seconds + (value[i] - '0');
	if (seconds < 1 || seconds > most)
		return config_refuse_value(setting, expected);
	*out_seconds = seconds;
	return MORTISE_OK;
}

enum mortise_status config_read_deadline(const struct setting *setting)
{
	int seconds = 0;

	TRY(read_seconds(setting, DEADLINE_MAX_S, "seconds from 1 to 600", &seconds));
	setting->config->hardware_deadline_ms = 1000 * seconds;
	return MORTISE_OK;
}

enum mortise_status config_read_anchor_window(const struct setting *setting)
{
	return read_seconds(setting, WINDOW_MAX_S, "seconds from 1 to 86400",
		&setting->config->anchor_window_s);
}
