#include "serve/openapi.h"

namespace mneme::serve {
namespace {

constexpr std::string_view kText = R"json({
  "paths": {
    "/v1/models": {
      "get": {
        "summary": "The models that are served",
        "responses": {
          "200": {
            "description": "Models",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ModelList"}}}
          }
        }
      }
    },
    "/v1/models/{id}": {
      "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
      "get": {
        "summary": "One model",
        "responses": {
          "200": {
            "description": "The model",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Model"}}}
          },
          "404": {
            "description": "There is none of the name",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
          }
        }
      }
    },
    "/v1/chat/completions": {
      "post": {
        "summary": "An answer to a conversation",
        "requestBody": {
          "required": true,
          "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ChatRequest"}}}
        },
        "responses": {
          "200": {
            "description": "The answer",
            "content": {
              "application/json": {"schema": {"$ref": "#/components/schemas/ChatAnswer"}},
              "text/event-stream": {
                "schema": {
                  "type": "string",
                  "description": "data: chunks, then data: [DONE]; comments while a long prompt is read"
                }
              }
            }
          },
          "400": {"$ref": "#/components/responses/Wrong"},
          "429": {"$ref": "#/components/responses/Busy"}
        }
      }
    },
    "/v1/chat/completions/input_tokens": {
      "post": {
        "summary": "How many tokens the request's prompt has",
        "requestBody": {
          "required": true,
          "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ChatRequest"}}}
        },
        "responses": {
          "200": {
            "description": "The answer",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/InputTokens"}}}
          },
          "400": {"$ref": "#/components/responses/Wrong"},
          "429": {"$ref": "#/components/responses/Busy"}
        }
      }
    },
    "/v1/completions": {
      "post": {
        "summary": "How a text goes on; with a suffix, what is between",
        "requestBody": {
          "required": true,
          "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/CompletionRequest"}}
          }
        },
        "responses": {
          "200": {
            "description": "The answer",
            "content": {
              "application/json": {"schema": {"$ref": "#/components/schemas/CompletionAnswer"}},
              "text/event-stream": {
                "schema": {
                  "type": "string", "description": "data: pieces of the same shape, then data: [DONE]"
                }
              }
            }
          },
          "400": {"$ref": "#/components/responses/Wrong"},
          "429": {"$ref": "#/components/responses/Busy"}
        }
      }
    },
    "/v1/embeddings": {
      "post": {
        "summary": "Vectors of texts",
        "requestBody": {
          "required": true,
          "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/EmbeddingRequest"}}
          }
        },
        "responses": {
          "200": {
            "description": "The answer",
            "content": {
              "application/json": {"schema": {"$ref": "#/components/schemas/EmbeddingAnswer"}}
            }
          },
          "400": {"$ref": "#/components/responses/Wrong"},
          "429": {"$ref": "#/components/responses/Busy"}
        }
      }
    },
    "/v1/responses/input_tokens": {
      "post": {
        "summary": "How many tokens the request's prompt has",
        "requestBody": {
          "required": true,
          "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/ResponsesRequest"}}
          }
        },
        "responses": {
          "200": {
            "description": "The answer",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/InputTokens"}}}
          },
          "400": {"$ref": "#/components/responses/Wrong"},
          "429": {"$ref": "#/components/responses/Busy"}
        }
      }
    },
    "/v1/responses": {
      "post": {
        "summary": "An answer, in the shape of Responses; nothing is kept",
        "requestBody": {
          "required": true,
          "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/ResponsesRequest"}}
          }
        },
        "responses": {
          "200": {
            "description": "The answer",
            "content": {
              "application/json": {"schema": {"$ref": "#/components/schemas/ResponsesAnswer"}},
              "text/event-stream": {
                "schema": {
                  "type": "string", "description": "events: response.created, ..., response.completed"
                }
              }
            }
          },
          "400": {"$ref": "#/components/responses/Wrong"},
          "429": {"$ref": "#/components/responses/Busy"}
        }
      }
    }
  },
  "schemas": {
    "Model": {
      "type": "object", "required": ["id", "object", "created", "owned_by", "loaded"],
      "properties": {
        "id": {"type": "string"}, "object": {"enum": ["model"]}, "created": {"type": "integer"},
        "owned_by": {"type": "string"}, "loaded": {"type": "boolean"},
        "role": {"enum": ["lite", "large"]}
      }
    },
    "ModelList": {
      "type": "object", "required": ["object", "data"],
      "properties": {
        "object": {"enum": ["list"]},
        "data": {"type": "array", "items": {"$ref": "#/components/schemas/Model"}}
      },
      "additionalProperties": false
    },
    "ChatMessage": {
      "type": "object", "required": ["role"],
      "properties": {
        "role": {"enum": ["system", "developer", "user", "assistant", "tool", "function"]},
        "content": {
          "description": "a text, or parts of type text", "type": ["string", "array", "null"]
        },
        "tool_calls": {"type": "array", "items": {"$ref": "#/components/schemas/ToolCall"}},
        "tool_call_id": {"type": "string"}, "reasoning_content": {"type": ["string", "null"]}
      }
    },
    "ToolCall": {
      "type": "object", "required": ["id", "type", "function"],
      "properties": {
        "id": {"type": "string"}, "type": {"enum": ["function"]},
        "function": {
          "type": "object", "required": ["name", "arguments"],
          "properties": {
            "name": {"type": "string"}, "arguments": {"type": "string", "description": "JSON"}
          }
        }
      }
    },
    "ChatRequest": {
      "type": "object", "required": ["messages"],
      "properties": {
        "model": {"type": "string"},
        "messages": {"type": "array", "items": {"$ref": "#/components/schemas/ChatMessage"}},
        "stream": {"type": "boolean"},
        "stream_options": {
          "type": "object", "required": [], "properties": {"include_usage": {"type": "boolean"}}
        },
        "return_progress": {
          "type": "boolean", "description": "chunks of a stream with prompt_progress while a prompt is read"
        },
        "timings_per_token": {"type": "boolean", "description": "timings in every chunk of a stream"},
        "add_generation_prompt": {"type": "boolean"},
        "continue_final_message": {
          "type": "boolean", "description": "the answer goes on from the last message, an assistant's"
        },
        "max_tokens": {"type": "integer"}, "max_completion_tokens": {"type": "integer"},
        "temperature": {"type": "number"}, "top_p": {"type": "number"}, "top_k": {"type": "integer"},
        "min_p": {"type": "number"}, "seed": {"type": "integer"},
        "presence_penalty": {"type": "number"}, "frequency_penalty": {"type": "number"},
        "stop": {"type": ["string", "array", "null"]}, "n": {"type": "integer"},
        "logprobs": {"type": "boolean"}, "top_logprobs": {"type": "integer"},
        "logit_bias": {"$ref": "#/components/schemas/LogitBias"}, "ignore_eos": {"type": "boolean"},
        "tools": {"type": "array", "items": {"type": "object"}},
        "tool_choice": {"type": ["string", "object"]}, "parallel_tool_calls": {"type": "boolean"},
        "response_format": {
          "type": "object", "required": ["type"],
          "properties": {
            "type": {"enum": ["text", "json_object", "json_schema", "grammar", "regex"]},
            "json_schema": {"type": "object"}
          }
        },
        "json_schema": {"type": "object"}, "grammar": {"type": "string"}, "regex": {"type": "string"},
        "prompt_cache_key": {"type": "string"},
        "session": {"type": "string", "description": "the name that the context is kept under"}
      }
    },
    "LogitBias": {
      "description": "{token or text: bias} or [[token or text, bias], ...]; -100 or false forbids",
      "type": ["object", "array"]
    },
    "InputTokens": {
      "type": "object", "required": ["object", "input_tokens"],
      "properties": {"object": {"type": "string"}, "input_tokens": {"type": "integer"}},
      "additionalProperties": false
    },
    "ChatAnswer": {
      "type": "object", "required": ["id", "object", "created", "model", "choices", "usage"],
      "properties": {
        "id": {"type": "string"}, "object": {"enum": ["chat.completion"]},
        "created": {"type": "integer"}, "model": {"type": "string"},
        "choices": {
          "type": "array",
          "items": {
            "type": "object", "required": ["index", "message", "finish_reason"],
            "properties": {
              "index": {"type": "integer"}, "message": {"$ref": "#/components/schemas/ChatMessage"},
              "finish_reason": {"type": ["string", "null"]}, "logprobs": {"type": ["object", "null"]}
            }
          }
        },
        "usage": {"$ref": "#/components/schemas/Usage"},
        "timings": {"$ref": "#/components/schemas/Timings"}
      }
    },
    "Timings": {
      "description": "speeds are of tokens after an answer's first, which comes with the prompt",
      "type": "object", "required": ["prompt_n", "predicted_n", "cache_n"],
      "properties": {
        "prompt_n": {"type": "integer", "description": "computed"},
        "cache_n": {"type": "integer", "description": "found"},
        "prompt_ms": {"type": "number"}, "prompt_per_token_ms": {"type": "number"},
        "prompt_per_second": {"type": "number"}, "predicted_n": {"type": "integer"},
        "predicted_ms": {"type": "number"}, "predicted_per_token_ms": {"type": "number"},
        "predicted_per_second": {"type": "number"}
      },
      "additionalProperties": false
    },
    "Usage": {
      "type": "object", "required": ["prompt_tokens", "completion_tokens", "total_tokens"],
      "properties": {
        "prompt_tokens": {"type": "integer"}, "completion_tokens": {"type": "integer"},
        "total_tokens": {"type": "integer"},
        "prompt_tokens_details": {
          "type": "object", "required": [],
          "properties": {"cached_tokens": {"type": "integer", "description": "found, not computed"}}
        },
        "completion_tokens_details": {
          "type": "object", "required": [], "properties": {"reasoning_tokens": {"type": "integer"}}
        }
      }
    },
    "CompletionRequest": {
      "type": "object", "required": [],
      "properties": {
        "model": {"type": "string"},
        "prompt": {
          "description": "a text, several, or tokens, with texts between them or not",
          "type": ["string", "array"]
        },
        "return_progress": {"type": "boolean"}, "timings_per_token": {"type": "boolean"},
        "logit_bias": {"$ref": "#/components/schemas/LogitBias"}, "ignore_eos": {"type": "boolean"},
        "response_format": {"type": "object"}, "json_schema": {"type": "object"},
        "grammar": {"type": "string"}, "regex": {"type": "string"},
        "suffix": {"type": ["string", "null"]}, "max_tokens": {"type": "integer"},
        "stream": {"type": "boolean"}, "temperature": {"type": "number"}, "top_p": {"type": "number"},
        "top_k": {"type": "integer"}, "min_p": {"type": "number"}, "seed": {"type": "integer"},
        "presence_penalty": {"type": "number"}, "frequency_penalty": {"type": "number"},
        "stop": {"type": ["string", "array", "null"]}, "n": {"type": "integer"},
        "echo": {"type": "boolean"}, "logprobs": {"type": ["integer", "boolean", "null"]},
        "segments": {"type": "object", "description": "Tabby's: prefix and suffix in place of prompt"},
        "session": {"type": "string", "description": "the name that the context is kept under"}
      }
    },
    "CompletionAnswer": {
      "type": "object", "required": ["id", "choices"],
      "properties": {
        "id": {"type": "string"}, "object": {"enum": ["text_completion"]},
        "created": {"type": "integer"}, "model": {"type": "string"},
        "choices": {
          "type": "array",
          "items": {
            "type": "object", "required": ["index", "text"],
            "properties": {
              "index": {"type": "integer"}, "text": {"type": "string"},
              "finish_reason": {"type": ["string", "null"]}, "logprobs": {"type": ["object", "null"]}
            }
          }
        },
        "usage": {"$ref": "#/components/schemas/Usage"},
        "timings": {"$ref": "#/components/schemas/Timings"}
      }
    },
    "EmbeddingRequest": {
      "type": "object", "required": ["input"],
      "properties": {
        "model": {"type": "string"}, "input": {"type": ["string", "array"]},
        "encoding_format": {"enum": ["float", "base64"]}
      }
    },
    "EmbeddingAnswer": {
      "type": "object", "required": ["object", "data", "model", "usage"],
      "properties": {
        "object": {"enum": ["list"]}, "model": {"type": "string"},
        "data": {
          "type": "array",
          "items": {
            "type": "object", "required": ["object", "index", "embedding"],
            "properties": {
              "object": {"enum": ["embedding"]}, "index": {"type": "integer"},
              "embedding": {
                "description": "numbers, or base64 of little-endian 32-bit floats",
                "type": ["array", "string"]
              }
            }
          }
        },
        "usage": {
          "type": "object", "required": ["prompt_tokens", "total_tokens"],
          "properties": {"prompt_tokens": {"type": "integer"}, "total_tokens": {"type": "integer"}}
        }
      }
    },
    "ResponsesRequest": {
      "type": "object", "required": ["input"],
      "properties": {
        "model": {"type": "string"}, "input": {"type": ["string", "array"]},
        "instructions": {"type": ["string", "null"]}, "stream": {"type": "boolean"},
        "max_output_tokens": {"type": ["integer", "null"]}, "temperature": {"type": "number"},
        "top_p": {"type": "number"}, "top_k": {"type": "integer"}, "min_p": {"type": "number"},
        "seed": {"type": "integer"}, "presence_penalty": {"type": "number"},
        "frequency_penalty": {"type": "number"},
        "tools": {"type": "array", "items": {"type": "object"}},
        "tool_choice": {"type": ["string", "object"]}, "text": {"type": "object"},
        "prompt_cache_key": {"type": "string"},
        "session": {"type": "string", "description": "the name that the context is kept under"}
      }
    },
    "ResponsesAnswer": {
      "type": "object", "required": ["id", "object", "created_at", "status", "model", "output"],
      "properties": {
        "id": {"type": "string"}, "object": {"enum": ["response"]}, "created_at": {"type": "number"},
        "status": {"enum": ["completed", "incomplete", "failed", "cancelled"]},
        "model": {"type": "string"}, "output": {"type": "array", "items": {"type": "object"}},
        "usage": {"type": ["object", "null"]}
      }
    }
  }
})json";

}  // namespace

std::string_view openapi_openai() { return kText; }

}  // namespace mneme::serve
