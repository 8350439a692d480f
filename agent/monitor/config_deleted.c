/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "config_setting.h"

#define DAYS_MAX 3650

enum mortise_status config_deleted_read(const struct setting *setting)
{
	const char *value = setting->entry->value;
	size_t size = strspn(value, "0123456789");
	unsigned days = 0;

	if (strcmp(value, "forever") == 0) {
		setting->config->deleted_keep_days = 0;
		return MORTISE_OK;
	}
	for (size_t i = 0; i < size && size <= 4; i++)
		days = 10 * days + (unsigned)(value[i] - '0');
	if (strcmp(value + size, "d") != 0 || days < 1 || days > DAYS_MAX)
		return config_refuse_value(setting, "days as in 30d, at most 3650d, or forever");
	setting->config->deleted_keep_days = days;
	return MORTISE_OK;
}
