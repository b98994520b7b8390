"""Parameters of the vendors, as far as we know them: none of them may be taken for a misspelt one.

But for `system`, which is a field of the client.
"""

_BY_VENDOR = """
    OpenAI, Azure:
    audio background conversation data_sources dimensions encoding_format function_call functions include input
    instructions logit_bias logprobs max_output_tokens max_tokens max_tool_calls metadata modalities moderation n
    prediction previous_response_id prompt prompt_cache_key prompt_cache_retention reasoning safety_identifier seed
    service_tier stop store suffix temperature text tool_choice tools top_logprobs top_p truncation user verbosity
    web_search_options
    Anthropic:
    betas cache_control container context_management diagnostics fallbacks inference_geo max_tokens mcp_servers
    metadata output_config output_format speed stop_sequences temperature thinking tool_choice tools top_k
    top_p
    DashScope, Qianfan, Zhipu, Moonshot, Volcengine, SiliconFlow, MiniMax:
    asr_options bot_setting caching chat_template_kwargs dimension disable_search do_sample enable_citation
    enable_code_interpreter enable_search enable_system_memory enable_text_image_mixed enable_thinking enable_trace
    expire_at incremental_output instruct mask_sensitive_info max_tokens n negative_prompt ocr_options
    output_dimension output_type penalty_score plugins preset_token reasoning_split repetition_context_size
    repetition_penalty reply_constraints request_id result_format role_meta sample_message search_options seed
    sensitive_word_check session_id stream_moderation temperature text_type thinking thinking_budget
    tokens_to_generate tool_stream top_k top_n translation_options user_id user_ip vl_enable_image_hw_output
    vl_high_resolution_images voice web_search
    OpenRouter, Together, Groq, Mistral, DeepSeek, xAI, Perplexity, Fireworks, Cerebras, DeepInfra, Hugging Face:
    citation_options clear_thinking compound_custom context_length_exceeded_behavior deferred disable_reasoning
    disable_tool_validation document_ids documents echo enable_search_classifier exclude_domains frequency_penalty
    ignore_eos image_response_format include_domains include_reasoning last_updated_after_filter
    last_updated_before_filter logit_bias logprobs max_prompt_tokens media_response min_p mirostat_lr
    mirostat_target mode models n parallel_tool_calls perf_metrics_in_response prediction prefix presence_penalty
    preset prompt_cache_isolation_key prompt_cache_max_len prompt_mode prompt_truncate_len provider_options
    random_seed raw_output reasoning reasoning_format repetition_penalty return_images return_related_questions
    return_token_ids route safe_prompt safety_model search_after_date_filter search_before_date_filter
    search_context_size search_domain_filter search_language_filter search_mode search_parameters
    search_recency_filter search_settings seed speculation stop_token top_a top_k transforms typical_p usage
    verbosity
    vLLM, SGLang, llama.cpp, Ollama, LM Studio:
    add_generation_prompt add_special_tokens allowed_token_ids bad_words beam_width best_of cache_prompt cache_salt
    chat_template continue_final_message continuous_usage_stats custom_logit_processor custom_params detokenize
    draft_model dry_allowed_length dry_base dry_multiplier dry_penalty_last_n dry_sequence_breakers
    dynatemp_exponent dynatemp_range ebnf extra_args format grammar grammar_lazy grammar_triggers guided_choice
    guided_decoding_backend guided_grammar guided_json guided_regex guided_whitespace_pattern id_slot ignore_eos
    include_stop_str_in_output input_ids input_type instruction json_schema keep_alive kv_transfer_params
    length_penalty logits_processors logprob_start_len lora lora_path max_new_tokens min_keep min_new_tokens min_p
    min_tokens mirostat mirostat_eta mirostat_tau mm_processor_kwargs n n_discard n_indent n_keep n_predict n_probs
    no_stop_trim normalize num_ctx num_predict options parse_tool_calls penalize_nl post_sampling_probs priority
    prompt_logprobs raw regex rep_pen repeat_last_n repeat_penalty repetition_penalty response_fields
    return_hidden_states return_logprob return_progress return_tokens return_tokens_as_token_ids rid samplers seed
    separate_reasoning session_params skip_special_tokens spaces_between_special_tokens stop stop_regex stop_str
    stop_token_ids stream_reasoning structural_tag structured_outputs t_max_predict_ms temperature temperature_last
    template tfs_z think timings_per_token top_k top_logprobs_num top_n_sigma top_p truncate truncate_prompt_tokens
    ttl typ_p typical use_beam_search vllm_xargs xtc_probability xtc_threshold
embeddings of voyage:
    input_type output_dimension output_dtype truncation
"""

KNOWN = sorted({word for line in _BY_VENDOR.splitlines() if not line.endswith(":") for word in line.split()})
