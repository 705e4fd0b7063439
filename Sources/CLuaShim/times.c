/* Durations and instants as text, without locale and without the C library's time functions (they lock). */
#include "internal.h"
#include "event.h"

#include <math.h>

static const int64_t second_us = 1000000, day_s = 86400;
static const double duration_max_us = 366.0 * 86400 * 1e6;

/* ---- durations ------------------------------------------------------------------------------------------------------------- */

/* Microseconds of the unit at `text`, 0 when there is none; its size goes to `size`. */
static double unit_us(const char *text, size_t left, size_t *size) {
    *size = 1;
    if (left >= 2 && text[1] == 's') {
        *size = 2;
        if (text[0] == 'm') return 1e3;
        if (text[0] == 'u') return 1;
    }
    *size = 1;
    switch (left > 0 ? text[0] : 0) {
    case 's': return 1e6;
    case 'm': return 60e6;
    case 'h': return 3600e6;
    case 'd': return 86400e6;
    default: return 0;
    }
}

/* Grammar: one or more of number (digits, fraction allowed) and unit: us ms s m h d. */
bool moonbus_parse_duration(const char *text, size_t size, int64_t *microseconds) {
    double total = 0;
    size_t index = 0;
    while (index < size) {
        size_t start = index;
        double value = 0, scale = 1;
        while (index < size && text[index] >= '0' && text[index] <= '9') value = value * 10 + (text[index++] - '0');
        if (index == start) return false;
        if (index < size && text[index] == '.') {
            size_t point = index++;
            while (index < size && text[index] >= '0' && text[index] <= '9') value += (text[index++] - '0') * (scale /= 10);
            if (index == point + 1) return false;
        }
        size_t unit_size;
        double unit = unit_us(text + index, size - index, &unit_size);
        if (unit == 0) return false;
        total += value * unit;
        index += unit_size;
    }
    if (size == 0 || !(total <= duration_max_us)) return false;
    *microseconds = llrint(total);
    return true;
}

bool moonbus_to_duration(lua_State *L, int index, int64_t *microseconds) {
    if (lua_type(L, index) == LUA_TNUMBER) {
        double us = lua_tonumber(L, index) * 1e6;
        if (!(us >= 0 && us <= duration_max_us)) return false;
        *microseconds = llrint(us);
        return true;
    }
    if (lua_type(L, index) != LUA_TSTRING) return false;
    size_t size;
    const char *text = lua_tolstring(L, index, &size);
    return moonbus_parse_duration(text, size, microseconds);
}

/* ---- instants -------------------------------------------------------------------------------------------------------------- */

/* Days since 1970-01-01 of a date of the Gregorian calendar. Origin: Howard Hinnant, "chrono-compatible low-level date
 * algorithms". */
static int64_t days_from_date(int64_t year, int month, int day) {
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static void date_from_days(int64_t days, int64_t *year, int *month, int *day) {
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153;
    *day = (int)(day_of_year - (153 * shifted + 2) / 5 + 1);
    *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *year = year_of_era + era * 400 + (*month <= 2);
}

/* Two digits at `text`, or -1. */
static int two_digits(const char *text) {
    if (text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9') return -1;
    return (text[0] - '0') * 10 + (text[1] - '0');
}

static int days_in(int64_t year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && is_leap);
}

static bool parse_offset(const char *text, size_t size, int64_t *offset_s) {
    *offset_s = 0;
    if (size == 1 && (text[0] == 'Z' || text[0] == 'z')) return true;
    if (size != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':') return false;
    int hours = two_digits(text + 1), minutes = two_digits(text + 4);
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return false;
    *offset_s = (text[0] == '-' ? -1 : 1) * (int64_t)(hours * 3600 + minutes * 60);
    return true;
}

bool moonbus_parse_rfc3339(const char *text, size_t size, int64_t *microseconds) {
    if (size < 20 || text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't' && text[10] != ' ')) return false;
    if (text[13] != ':' || text[16] != ':') return false;
    int century = two_digits(text), years = two_digits(text + 2), month = two_digits(text + 5), day = two_digits(text + 8);
    int hour = two_digits(text + 11), minute = two_digits(text + 14), second = two_digits(text + 17);
    if (century < 0 || years < 0 || month < 1 || month > 12 || day < 1 || hour < 0 || hour > 23 || minute < 0 || minute > 59) return false;
    if (second < 0 || second > 60) return false; /* 60: a leap second, taken as the next one */
    int64_t year = century * 100 + years, fraction_us = 0, scale = 100000, offset_s;
    if (day > days_in(year, month)) return false;
    size_t index = 19;
    if (text[index] == '.') {
        size_t start = ++index;
        for (; index < size && text[index] >= '0' && text[index] <= '9'; index++, scale /= 10) fraction_us += (text[index] - '0') * scale;
        if (index == start) return false;
    }
    if (!parse_offset(text + index, size - index, &offset_s)) return false;
    int64_t seconds = days_from_date(year, month, day) * day_s + hour * 3600 + minute * 60 + second - offset_s;
    *microseconds = seconds * second_us + fraction_us;
    return true;
}

static char *put(char *out, int64_t value, int digits) {
    for (int index = digits - 1; index >= 0; index--, value /= 10) out[index] = (char)('0' + value % 10);
    return out + digits;
}

size_t moonbus_format_rfc3339(char *out, int64_t microseconds) {
    int64_t seconds = microseconds / second_us, fraction_us = microseconds % second_us;
    if (fraction_us < 0) {
        fraction_us += second_us;
        seconds--;
    }
    int64_t days = seconds / day_s, of_day = seconds % day_s;
    if (of_day < 0) {
        of_day += day_s;
        days--;
    }
    int64_t year;
    int month, day;
    date_from_days(days, &year, &month, &day);
    char *next = put(out, year, 4);
    *next++ = '-';
    next = put(next, month, 2);
    *next++ = '-';
    next = put(next, day, 2);
    *next++ = 'T';
    next = put(next, of_day / 3600, 2);
    *next++ = ':';
    next = put(next, of_day / 60 % 60, 2);
    *next++ = ':';
    next = put(next, of_day % 60, 2);
    if (fraction_us != 0) {
        *next++ = '.';
        next = fraction_us % 1000 == 0 ? put(next, fraction_us / 1000, 3) : put(next, fraction_us, 6);
    }
    *next++ = 'Z';
    return (size_t)(next - out);
}
