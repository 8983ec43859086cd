// Whether a value is as a schema of the OpenAPI document says: the words that the document uses.
#pragma once

#include <string>

#include "serve/api.h"

namespace mneme::serve {

inline bool has_type(const Json& value, const std::string& type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "null") return value.is_null();
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  return false;
}

// The part itself, or what its $ref leads to.
inline const Json& resolved(const Json& document, const Json& part) {
  if (!part.contains("$ref")) return part;
  return document.at(Json::json_pointer(part["$ref"].get<std::string>().substr(1)));
}

// What is wrong, with its place; empty: nothing.
inline std::string schema_fault(const Json& document, const Json& schema, const Json& value,
                                const std::string& place = "$") {
  if (schema.contains("$ref")) return schema_fault(document, resolved(document, schema), value, place);
  for (const Json& part : schema.value("allOf", Json::array())) {
    if (const auto fault = schema_fault(document, part, value, place); !fault.empty()) return fault;
  }
  if (schema.contains("anyOf")) {
    bool any = false;
    for (const Json& part : schema["anyOf"]) any = any || schema_fault(document, part, value, place).empty();
    if (!any) return place + ": none of anyOf";
  }
  if (schema.contains("enum")) {
    bool any = false;
    for (const Json& one : schema["enum"]) any = any || one == value;
    if (!any) return place + ": not in enum: " + value.dump();
  }
  if (schema.contains("type")) {
    const Json types = schema["type"].is_array() ? schema["type"] : Json::array({schema["type"]});
    bool any = false;
    for (const Json& type : types) any = any || has_type(value, type);
    if (!any) return place + ": is no " + schema["type"].dump() + ": " + value.dump();
  }
  for (const Json& name : schema.value("required", Json::array())) {
    if (!value.contains(name.get<std::string>())) return place + ": lacks " + name.dump();
  }
  const Json properties = schema.value("properties", Json::object());
  if (value.is_object()) {
    for (const auto& [name, inner] : value.items()) {
      if (properties.contains(name)) {
        if (const auto fault = schema_fault(document, properties[name], inner, place + "." + name);
            !fault.empty())
          return fault;
      } else if (schema.value("additionalProperties", Json(true)) == false) {
        return place + ": " + name + " is not in the schema";
      }
    }
  }
  if (value.is_array() && schema.contains("items")) {
    for (size_t i = 0; i < value.size(); ++i) {
      const auto fault = schema_fault(document, schema["items"], value[i],
                                      place + "[" + std::to_string(i) + "]");
      if (!fault.empty()) return fault;
    }
  }
  return {};
}

}  // namespace mneme::serve
