// The functions of libhdf5 that are called: CALL(type of the result, name, parameters, arguments).
// And the variables that hold its predefined types and classes of property lists: IDENTIFIER(name).

CALL(herr_t, H5dont_atexit, (void), ())
CALL(herr_t, H5free_memory, (void *a), (a))
CALL(herr_t, H5get_libversion, (unsigned *a, unsigned *b, unsigned *c), (a, b, c))
CALL(herr_t, H5open, (void), ())

CALL(herr_t, H5Aclose, (hid_t a), (a))
CALL(hid_t, H5Acreate2,
     (hid_t a, const char *b, hid_t c, hid_t d, hid_t e, hid_t f), (a, b, c, d, e, f))
CALL(htri_t, H5Aexists, (hid_t a, const char *b), (a, b))
CALL(hid_t, H5Aget_space, (hid_t a), (a))
CALL(hid_t, H5Aget_type, (hid_t a), (a))
CALL(herr_t, H5Aiterate2,
     (hid_t a, H5_index_t b, H5_iter_order_t c, hsize_t *d, H5A_operator2_t e, void *f),
     (a, b, c, d, e, f))
CALL(hid_t, H5Aopen, (hid_t a, const char *b, hid_t c), (a, b, c))
CALL(herr_t, H5Aread, (hid_t a, hid_t b, void *c), (a, b, c))
CALL(herr_t, H5Awrite, (hid_t a, hid_t b, const void *c), (a, b, c))

CALL(herr_t, H5Dclose, (hid_t a), (a))
CALL(hid_t, H5Dcreate2,
     (hid_t a, const char *b, hid_t c, hid_t d, hid_t e, hid_t f, hid_t g), (a, b, c, d, e, f, g))
CALL(hid_t, H5Dget_create_plist, (hid_t a), (a))
CALL(haddr_t, H5Dget_offset, (hid_t a), (a))
CALL(hid_t, H5Dget_space, (hid_t a), (a))
CALL(hsize_t, H5Dget_storage_size, (hid_t a), (a))
CALL(hid_t, H5Dget_type, (hid_t a), (a))
CALL(hid_t, H5Dopen2, (hid_t a, const char *b, hid_t c), (a, b, c))
CALL(herr_t, H5Dread, (hid_t a, hid_t b, hid_t c, hid_t d, hid_t e, void *f), (a, b, c, d, e, f))

CALL(herr_t, H5Eget_auto2, (hid_t a, H5E_auto2_t *b, void **c), (a, b, c))
CALL(herr_t, H5Eset_auto2, (hid_t a, H5E_auto2_t b, void *c), (a, b, c))
CALL(herr_t, H5Ewalk2, (hid_t a, H5E_direction_t b, H5E_walk2_t c, void *d), (a, b, c, d))

CALL(herr_t, H5Fclose, (hid_t a), (a))
CALL(hid_t, H5Fcreate, (const char *a, unsigned b, hid_t c, hid_t d), (a, b, c, d))
CALL(hid_t, H5Fopen, (const char *a, unsigned b, hid_t c), (a, b, c))

CALL(herr_t, H5Gclose, (hid_t a), (a))
CALL(hid_t, H5Gcreate2, (hid_t a, const char *b, hid_t c, hid_t d, hid_t e), (a, b, c, d, e))
CALL(hid_t, H5Gget_create_plist, (hid_t a), (a))
CALL(hid_t, H5Gopen2, (hid_t a, const char *b, hid_t c), (a, b, c))

CALL(herr_t, H5Lcreate_hard,
     (hid_t a, const char *b, hid_t c, const char *d, hid_t e, hid_t f), (a, b, c, d, e, f))
CALL(herr_t, H5Lget_info, (hid_t a, const char *b, H5L_info_t *c, hid_t d), (a, b, c, d))
CALL(herr_t, H5Lget_val, (hid_t a, const char *b, void *c, size_t d, hid_t e), (a, b, c, d, e))
CALL(herr_t, H5Literate,
     (hid_t a, H5_index_t b, H5_iter_order_t c, hsize_t *d, H5L_iterate_t e, void *f),
     (a, b, c, d, e, f))
CALL(herr_t, H5Lunregister, (H5L_type_t a), (a))

CALL(herr_t, H5Oget_info_by_name2,
     (hid_t a, const char *b, H5O_info_t *c, unsigned d, hid_t e), (a, b, c, d, e))

CALL(herr_t, H5PLset_loading_state, (unsigned a), (a))

CALL(herr_t, H5Pclose, (hid_t a), (a))
CALL(hid_t, H5Pcreate, (hid_t a), (a))
CALL(herr_t, H5Pfill_value_defined, (hid_t a, H5D_fill_value_t *b), (a, b))
CALL(herr_t, H5Pget_attr_creation_order, (hid_t a, unsigned *b), (a, b))
CALL(int, H5Pget_chunk, (hid_t a, int b, hsize_t *c), (a, b, c))
CALL(int, H5Pget_external_count, (hid_t a), (a))
CALL(herr_t, H5Pget_fill_value, (hid_t a, hid_t b, void *c), (a, b, c))
CALL(H5Z_filter_t, H5Pget_filter2,
     (hid_t a, unsigned b, unsigned *c, size_t *d, unsigned *e, size_t f, char *g, unsigned *h),
     (a, b, c, d, e, f, g, h))
CALL(H5D_layout_t, H5Pget_layout, (hid_t a), (a))
CALL(herr_t, H5Pget_link_creation_order, (hid_t a, unsigned *b), (a, b))
CALL(int, H5Pget_nfilters, (hid_t a), (a))
CALL(herr_t, H5Pset_alignment, (hid_t a, hsize_t b, hsize_t c), (a, b, c))
CALL(herr_t, H5Pset_alloc_time, (hid_t a, H5D_alloc_time_t b), (a, b))
CALL(herr_t, H5Pset_attr_creation_order, (hid_t a, unsigned b), (a, b))
CALL(herr_t, H5Pset_char_encoding, (hid_t a, H5T_cset_t b), (a, b))
CALL(herr_t, H5Pset_fapl_sec2, (hid_t a), (a))
CALL(herr_t, H5Pset_fclose_degree, (hid_t a, H5F_close_degree_t b), (a, b))
CALL(herr_t, H5Pset_file_locking, (hid_t a, hbool_t b, hbool_t c), (a, b, c))
CALL(herr_t, H5Pset_fill_time, (hid_t a, H5D_fill_time_t b), (a, b))
CALL(herr_t, H5Pset_layout, (hid_t a, H5D_layout_t b), (a, b))
CALL(herr_t, H5Pset_link_creation_order, (hid_t a, unsigned b), (a, b))
CALL(herr_t, H5Pset_obj_track_times, (hid_t a, hbool_t b), (a, b))
CALL(herr_t, H5Pset_small_data_block_size, (hid_t a, hsize_t b), (a, b))

CALL(herr_t, H5Sclose, (hid_t a), (a))
CALL(hid_t, H5Screate, (H5S_class_t a), (a))
CALL(hid_t, H5Screate_simple, (int a, const hsize_t *b, const hsize_t *c), (a, b, c))
CALL(int, H5Sget_simple_extent_dims, (hid_t a, hsize_t *b, hsize_t *c), (a, b, c))
CALL(int, H5Sget_simple_extent_ndims, (hid_t a), (a))
CALL(hssize_t, H5Sget_simple_extent_npoints, (hid_t a), (a))
CALL(H5S_class_t, H5Sget_simple_extent_type, (hid_t a), (a))
CALL(herr_t, H5Sselect_hyperslab,
     (hid_t a, H5S_seloper_t b, const hsize_t *c, const hsize_t *d, const hsize_t *e,
      const hsize_t *f),
     (a, b, c, d, e, f))

CALL(herr_t, H5Tclose, (hid_t a), (a))
CALL(hid_t, H5Tcopy, (hid_t a), (a))
CALL(hid_t, H5Tcreate, (H5T_class_t a, size_t b), (a, b))
CALL(hid_t, H5Tenum_create, (hid_t a), (a))
CALL(herr_t, H5Tenum_insert, (hid_t a, const char *b, const void *c), (a, b, c))
CALL(herr_t, H5Tenum_valueof, (hid_t a, const char *b, void *c), (a, b, c))
CALL(H5T_class_t, H5Tget_class, (hid_t a), (a))
CALL(H5T_cset_t, H5Tget_cset, (hid_t a), (a))
CALL(size_t, H5Tget_ebias, (hid_t a), (a))
CALL(herr_t, H5Tget_fields,
     (hid_t a, size_t *b, size_t *c, size_t *d, size_t *e, size_t *f), (a, b, c, d, e, f))
CALL(int, H5Tget_nmembers, (hid_t a), (a))
CALL(H5T_norm_t, H5Tget_norm, (hid_t a), (a))
CALL(int, H5Tget_offset, (hid_t a), (a))
CALL(H5T_order_t, H5Tget_order, (hid_t a), (a))
CALL(size_t, H5Tget_precision, (hid_t a), (a))
CALL(H5T_sign_t, H5Tget_sign, (hid_t a), (a))
CALL(size_t, H5Tget_size, (hid_t a), (a))
CALL(H5T_str_t, H5Tget_strpad, (hid_t a), (a))
CALL(htri_t, H5Tis_variable_str, (hid_t a), (a))
CALL(herr_t, H5Tset_cset, (hid_t a, H5T_cset_t b), (a, b))
CALL(herr_t, H5Tset_ebias, (hid_t a, size_t b), (a, b))
CALL(herr_t, H5Tset_fields,
     (hid_t a, size_t b, size_t c, size_t d, size_t e, size_t f), (a, b, c, d, e, f))
CALL(herr_t, H5Tset_size, (hid_t a, size_t b), (a, b))
CALL(herr_t, H5Tset_strpad, (hid_t a, H5T_str_t b), (a, b))
CALL(herr_t, H5Tset_tag, (hid_t a, const char *b), (a, b))

IDENTIFIER(H5P_CLS_DATASET_CREATE_ID_g)
IDENTIFIER(H5P_CLS_FILE_ACCESS_ID_g)
IDENTIFIER(H5P_CLS_FILE_CREATE_ID_g)
IDENTIFIER(H5P_CLS_GROUP_CREATE_ID_g)
IDENTIFIER(H5P_CLS_LINK_CREATE_ID_g)

IDENTIFIER(H5T_C_S1_g)
IDENTIFIER(H5T_IEEE_F32LE_g)
IDENTIFIER(H5T_IEEE_F64LE_g)
IDENTIFIER(H5T_NATIVE_DOUBLE_g)
IDENTIFIER(H5T_NATIVE_INT64_g)
IDENTIFIER(H5T_NATIVE_UINT64_g)
IDENTIFIER(H5T_STD_I16LE_g)
IDENTIFIER(H5T_STD_I32LE_g)
IDENTIFIER(H5T_STD_I64LE_g)
IDENTIFIER(H5T_STD_I8LE_g)
IDENTIFIER(H5T_STD_U16LE_g)
IDENTIFIER(H5T_STD_U32LE_g)
IDENTIFIER(H5T_STD_U64LE_g)
IDENTIFIER(H5T_STD_U8LE_g)

#undef CALL
#undef IDENTIFIER
