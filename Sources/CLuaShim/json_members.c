#include "json_members.h"

void moonbus_json_skip_container(moonbus_json_walk *walk) {
    int depth = 0;
    while (walk->next < walk->end) {
        char byte = *walk->next++;
        if (byte == '"') moonbus_json_skip_string(walk);
        else if (byte == '{' || byte == '[') depth++;
        else if ((byte == '}' || byte == ']') && --depth == 0) return;
    }
}
