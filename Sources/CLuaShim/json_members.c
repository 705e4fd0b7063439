#include "json_members.h"

void moonbus_json_skip_container(moonbus_json_walk *walk) {
    const uint64_t without_case = 0x2020202020202020; /* makes [ of { and ] of }, and nothing else of either */
    int depth = 0;
    while (walk->next < walk->end) {
        while (walk->end - walk->next >= 8) {
            uint64_t word;
            memcpy(&word, walk->next, sizeof word);
            if (moonbus_json_holds(word, '"') | moonbus_json_holds(word | without_case, '{') | moonbus_json_holds(word | without_case, '}')) break;
            walk->next += 8;
        }
        if (walk->next >= walk->end) return;
        char byte = *walk->next++;
        if (byte == '"') moonbus_json_skip_string(walk);
        else if (byte == '{' || byte == '[') depth++;
        else if ((byte == '}' || byte == ']') && --depth == 0) return;
    }
}
