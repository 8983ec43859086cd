#include "serve/openapi.h"

namespace mneme::serve {
namespace {

constexpr std::string_view kText = R"json({
  "paths": {
    "/tokenize": {
      "post": {
        "summary": "The tokens of a text",
        "requestBody": {
          "required": true,
          "content": {
            "application/json": {
              "schema": {
                "type": "object", "required": ["content"],
                "properties": {
                  "model": {"type": "string"}, "content": {"type": "string"},
                  "add_special": {"type": "boolean"}, "parse_special": {"type": "boolean"},
                  "with_pieces": {"type": "boolean"}
                }
              }
            }
          }
        },
        "responses": {
          "200": {
            "description": "The answer",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Tokens"}}}
          },
          "400": {"$ref": "#/components/responses/Wrong"},
          "429": {"$ref": "#/components/responses/Busy"}
        }
      }
    },
    "/detokenize": {
      "post": {
        "summary": "The text of tokens",
        "requestBody": {
          "required": true,
          "content": {
            "application/json": {
              "schema": {
                "type": "object", "required": ["tokens"],
                "properties": {
                  "model": {"type": "string"}, "tokens": {"type": "array", "items": {"type": "integer"}}
                }
              }
            }
          }
        },
        "responses": {
          "200": {
            "description": "The answer",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Content"}}}
          },
          "400": {"$ref": "#/components/responses/Wrong"},
          "429": {"$ref": "#/components/responses/Busy"}
        }
      }
    },
    "/apply-template": {
      "post": {
        "summary": "The prompt that a conversation becomes",
        "requestBody": {
          "required": true,
          "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ChatRequest"}}}
        },
        "responses": {
          "200": {
            "description": "The answer",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Prompt"}}}
          },
          "400": {"$ref": "#/components/responses/Wrong"},
          "429": {"$ref": "#/components/responses/Busy"}
        }
      }
    },
    "/infill": {
      "post": {
        "summary": "What is between two pieces of a file",
        "requestBody": {
          "required": true,
          "content": {"application/json": {"schema": {"$ref": "#/components/schemas/InfillRequest"}}}
        },
        "responses": {
          "200": {
            "description": "The answer",
            "content": {
              "application/json": {"schema": {"$ref": "#/components/schemas/InfillAnswer"}},
              "text/event-stream": {
                "schema": {"type": "string", "description": "data: pieces of the same shape"}
              }
            }
          },
          "400": {"$ref": "#/components/responses/Wrong"},
          "429": {"$ref": "#/components/responses/Busy"}
        }
      }
    },
    "/v1/health": {
      "get": {
        "summary": "Tabby's: which model completes",
        "responses": {
          "200": {
            "description": "The model",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/TabbyHealth"}}}
          }
        }
      },
      "post": {
        "summary": "Tabby's: which model completes",
        "responses": {
          "200": {
            "description": "The model",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/TabbyHealth"}}}
          }
        }
      }
    },
    "/v1beta/server_setting": {
      "get": {
        "summary": "Tabby's: settings for editors",
        "responses": {
          "200": {
            "description": "Settings", "content": {"application/json": {"schema": {"type": "object"}}}
          }
        }
      }
    },
    "/v1/events": {
      "post": {
        "summary": "Tabby's: what a user took or dismissed; heard, and not kept",
        "responses": {
          "200": {
            "description": "Heard", "content": {"application/json": {"schema": {"type": "object"}}}
          }
        }
      }
    }
  },
  "schemas": {
    "Tokens": {
      "type": "object", "required": ["tokens", "count"],
      "properties": {
        "tokens": {"type": "array", "items": {"type": ["integer", "object"]}},
        "count": {"type": "integer"}
      }
    },
    "Content": {
      "type": "object", "required": ["content"], "properties": {"content": {"type": "string"}}
    },
    "Prompt": {"type": "object", "required": ["prompt"], "properties": {"prompt": {"type": "string"}}},
    "InfillRequest": {
      "type": "object", "required": [],
      "properties": {
        "model": {"type": "string"}, "input_prefix": {"type": "string"},
        "input_suffix": {"type": "string"}, "prompt": {"type": "string"},
        "input_extra": {"type": "array", "items": {"type": "object"}},
        "n_predict": {"type": "integer", "description": "0: only read, so that it is found later"},
        "t_max_prompt_ms": {"type": "number"}, "t_max_predict_ms": {"type": "number"},
        "stream": {"type": "boolean"}, "temperature": {"type": "number"}, "top_p": {"type": "number"},
        "top_k": {"type": "integer"}, "min_p": {"type": "number"}, "seed": {"type": "integer"},
        "presence_penalty": {"type": "number"}, "frequency_penalty": {"type": "number"},
        "stop": {"type": ["string", "array"]}
      }
    },
    "InfillAnswer": {
      "type": "object", "required": ["content"],
      "properties": {"content": {"type": "string"}, "stop": {"type": "boolean"}}
    },
    "TabbyHealth": {
      "type": "object", "required": ["model", "version"],
      "properties": {"model": {"type": ["string", "null"]}, "version": {"type": "object"}}
    }
  }
})json";

}  // namespace

std::string_view openapi_text() { return kText; }

}  // namespace mneme::serve
