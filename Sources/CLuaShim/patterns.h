/* Event types and patterns: patterns.c. */
#ifndef MOONBUS_PATTERNS_H
#define MOONBUS_PATTERNS_H
#include "internal.h"

/* NULL when `type` may be an event's type, else what is wrong with it. */
const char *moonbus_type_problem(const char *type, size_t size);
/* Whether the type is one of Moonbus's own: `moonbus`, or below it. */
bool moonbus_type_is_reserved(const char *type, size_t size);
/* Whether `permitted`, a source or the beginning of sources with a `*` behind it, permits the source. */
bool moonbus_source_is_permitted(const char *permitted, const char *source, size_t size);
bool moonbus_pattern_matches(const char *pattern, const char *type, size_t size);
/* The candidate (NULL-terminated list) closest to `word`, or NULL when none is close. */
const char *moonbus_did_you_mean(const char *word, const char *const *candidates);

#endif
